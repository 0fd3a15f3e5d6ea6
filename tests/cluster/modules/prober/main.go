// The kubelet's prober as a program: probes as lines of JSON on standard input, what it makes of each on standard output.
// Before that, one line says where its TLS servers listen.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
)

type probe struct {
	Address string
	Port    int
	Scheme  string
	Path    string
	Headers [][2]string
	Timeout int // milliseconds
}

type verdict struct {
	Result string `json:"result"`
	Output string `json:"output"`
	Error  string `json:"error"`
}

func main() {
	ports, err := serve()
	if err != nil {
		log.Fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(ports); err != nil {
		log.Fatal(err)
	}
	// As in pkg/kubelet/prober: one for all probes.
	prober := httpprobe.New(false)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var asked probe
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(ask(prober, asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func ask(prober httpprobe.Prober, asked probe) verdict {
	action := v1.HTTPGetAction{
		Path:   asked.Path,
		Port:   intstr.FromInt32(int32(asked.Port)),
		Scheme: v1.URIScheme(asked.Scheme),
	}
	for _, header := range asked.Headers {
		action.HTTPHeaders = append(action.HTTPHeaders, v1.HTTPHeader{Name: header[0], Value: header[1]})
	}
	request, err := httpprobe.NewRequestForHTTPGetAction(&action, &v1.Container{}, asked.Address, "probe")
	if err != nil {
		return verdict{Result: "unknown", Error: err.Error()}
	}
	result, output, err := prober.Probe(request, time.Duration(asked.Timeout)*time.Millisecond)
	said := verdict{Result: string(result), Output: output}
	if err != nil {
		said.Error = err.Error()
	}
	return said
}
