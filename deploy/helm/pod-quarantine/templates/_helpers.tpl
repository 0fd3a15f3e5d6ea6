{{- define "pod-quarantine.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "pod-quarantine.selectorLabels" -}}
app.kubernetes.io/name: pod-quarantine
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The labels of an object; values add some, and replace none of these. */ -}}
{{- define "pod-quarantine.labels" -}}
{{- $own := include "pod-quarantine.selectorLabels" . | fromYaml }}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- $own = merge $own (dict "helm.sh/chart" $chart "app.kubernetes.io/version" .Chart.AppVersion) }}
{{- $own = merge $own (dict "app.kubernetes.io/managed-by" .Release.Service) }}
{{- toYaml (merge $own (deepCopy .Values.commonLabels)) }}
{{- end }}

{{- /* The metadata of an object: a list of the chart's context, the end of its name, and further labels. */ -}}
{{- define "pod-quarantine.metadata" -}}
{{- $context := index . 0 }}
name: {{ include "pod-quarantine.fullname" $context }}{{ index . 1 }}
labels:
  {{- toYaml (merge (include "pod-quarantine.labels" $context | fromYaml) (index . 2)) | nindent 2 }}
{{- with $context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pod-quarantine.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "pod-quarantine.fullname" .) }}
{{- end }}

{{- define "pod-quarantine.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{- define "pod-quarantine.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "pod-quarantine.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* The metadata of a hook's object: `name`, `hook`, `weight`, when its `log` is printed, and the chart's
`context`. A hook that failed stays until
the next try: its log has the mistake. */ -}}
{{- define "pod-quarantine.hookMetadata" -}}
name: {{ .name }}
labels:
  {{- include "pod-quarantine.hookLabels" .context | nindent 2 }}
annotations:
  helm.sh/hook: {{ .hook }}
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  helm.sh/hook-output-log-policy: {{ .log }}
  {{- with .context.Values.commonAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* Not the agent's name: its Service, its PodDisruptionBudget and the plugin look for that. */ -}}
{{- define "pod-quarantine.hookLabels" -}}
{{- $own := dict "app.kubernetes.io/name" "pod-quarantine-hook" "app.kubernetes.io/instance" .Release.Name }}
{{- $own = merge $own (dict "app.kubernetes.io/managed-by" .Release.Service) }}
{{- toYaml (merge $own (deepCopy .Values.commonLabels)) }}
{{- end }}

{{- /* The pod of a hook, with the agent's image; the fields of its container may follow. */ -}}
{{- define "pod-quarantine.hookPod" -}}
restartPolicy: Never
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "pod-quarantine.podSecurityContext" . | nindent 2 }}
containers:
  - name: hook
    image: {{ include "pod-quarantine.image" . }}
    {{- with .Values.image.pullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    resources:
      requests: { cpu: 10m, memory: 32Mi }
      limits: { memory: 128Mi }
    securityContext:
      {{- include "pod-quarantine.securityContext" . | nindent 6 }}
{{- end }}
