package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// A certificate that signs itself: by default of a pod, and valid.
type certificate struct {
	key    crypto.Signer
	name   string
	before time.Time
	after  time.Time
	bulk   int
}

func (c certificate) make() (tls.Certificate, error) {
	now := time.Now()
	if c.after.IsZero() {
		c.before, c.after = now.Add(-time.Hour), now.Add(time.Hour)
	}
	if c.name == "" {
		c.name = "pod"
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: c.name, Organization: []string{strings.Repeat("x", c.bulk)}},
		DNSNames:     []string{c.name},
		NotBefore:    c.before,
		NotAfter:     c.after,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, c.key.Public(), c.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key}, err
}

func curve(curve elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

func modulus(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

// A server's name, and what is unusual about it.
type server struct {
	name        string
	certificate certificate
	config      tls.Config
	// Whether it answers by HTTP/2.
	http2 bool
	// What it does with a connection instead of serving HTTP.
	raw func(net.Conn)
}

func servers() []server {
	p256 := certificate{key: curve(elliptic.P256())}
	rsa2048 := certificate{key: modulus(2048)}
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	now := time.Now()
	only12 := func(suite uint16) tls.Config {
		return tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
	}
	group := func(version uint16, groups ...tls.CurveID) tls.Config {
		return tls.Config{MinVersion: version, MaxVersion: version, CurvePreferences: groups}
	}
	version := func(version uint16) tls.Config {
		return tls.Config{MinVersion: version, MaxVersion: version}
	}
	protocols := func(protocols ...string) tls.Config {
		return tls.Config{NextProtos: protocols}
	}
	return []server{
		{name: "TLS 1.3", certificate: p256, config: version(tls.VersionTLS13)},
		{name: "TLS 1.2", certificate: p256, config: version(tls.VersionTLS12)},
		{name: "TLS 1.1", certificate: p256, config: version(tls.VersionTLS11)},
		{name: "TLS 1.0", certificate: p256, config: version(tls.VersionTLS10)},
		{name: "RSA, TLS 1.3", certificate: rsa2048, config: version(tls.VersionTLS13)},
		{name: "RSA, TLS 1.2", certificate: rsa2048, config: version(tls.VersionTLS12)},
		{name: "RSA of 1024 bits", certificate: certificate{key: modulus(1024)}},
		{name: "RSA of 4096 bits", certificate: certificate{key: modulus(4096)}},
		{name: "Ed25519", certificate: certificate{key: edwards}},
		{name: "P-384", certificate: certificate{key: curve(elliptic.P384())}},
		{name: "P-521, TLS 1.3", certificate: certificate{key: curve(elliptic.P521())}, config: version(tls.VersionTLS13)},
		{name: "P-521, TLS 1.2", certificate: certificate{key: curve(elliptic.P521())}, config: version(tls.VersionTLS12)},
		{name: "P-224", certificate: certificate{key: curve(elliptic.P224())}, config: version(tls.VersionTLS12)},
		{name: "exchange by X25519", certificate: p256, config: group(tls.VersionTLS13, tls.X25519)},
		{name: "exchange by P-256", certificate: p256, config: group(tls.VersionTLS13, tls.CurveP256)},
		{name: "exchange by P-384", certificate: p256, config: group(tls.VersionTLS13, tls.CurveP384)},
		{name: "exchange by P-521, TLS 1.3", certificate: p256, config: group(tls.VersionTLS13, tls.CurveP521)},
		{name: "exchange by P-521, TLS 1.2", certificate: p256, config: group(tls.VersionTLS12, tls.CurveP521)},
		{name: "exchange by X25519MLKEM768", certificate: p256, config: group(tls.VersionTLS13, tls.X25519MLKEM768)},
		{name: "ECDHE-ECDSA-AES128-CBC", certificate: p256, config: only12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)},
		{name: "ECDHE-ECDSA-AES256-CBC", certificate: p256, config: only12(tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA)},
		{name: "ECDHE-RSA-AES128-CBC", certificate: rsa2048, config: only12(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)},
		{name: "ECDHE-RSA-AES256-CBC", certificate: rsa2048, config: only12(tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA)},
		{name: "ECDHE-RSA-AES128-CBC-SHA256", certificate: rsa2048, config: only12(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256)},
		{name: "ECDHE-RSA-AES128-GCM", certificate: rsa2048, config: only12(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)},
		{name: "ECDHE-RSA-CHACHA20", certificate: rsa2048, config: only12(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)},
		{name: "RSA exchange, GCM", certificate: rsa2048, config: only12(tls.TLS_RSA_WITH_AES_128_GCM_SHA256)},
		{name: "RSA exchange, CBC", certificate: rsa2048, config: only12(tls.TLS_RSA_WITH_AES_128_CBC_SHA)},
		{name: "ECDHE-RSA-3DES", certificate: rsa2048, config: only12(tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)},
		{name: "only HTTP/2 by ALPN", certificate: p256, config: protocols("h2"), http2: true},
		{name: "HTTP/2 or HTTP/1 by ALPN", certificate: p256, config: protocols("h2", "http/1.1"), http2: true},
		{name: "only HTTP/1 by ALPN", certificate: p256, config: protocols("http/1.1")},
		{name: "another protocol by ALPN", certificate: p256, config: protocols("ftp")},
		{name: "expired", certificate: certificate{key: curve(elliptic.P256()), before: now.Add(-2 * time.Hour), after: now.Add(-time.Hour)}},
		{name: "not yet valid", certificate: certificate{key: curve(elliptic.P256()), before: now.Add(time.Hour), after: now.Add(2 * time.Hour)}},
		{name: "wrong name", certificate: certificate{key: curve(elliptic.P256()), name: "elsewhere.example"}},
		{name: "certificate of 100 KB", certificate: certificate{key: curve(elliptic.P256()), bulk: 100_000}},
		{name: "client certificate wanted, TLS 1.3", certificate: p256, config: tls.Config{ClientAuth: tls.RequestClientCert}},
		{name: "client certificate wanted, TLS 1.2", certificate: p256, config: tls.Config{ClientAuth: tls.RequestClientCert, MaxVersion: tls.VersionTLS12}},
		{name: "client certificate required, TLS 1.3", certificate: p256, config: tls.Config{ClientAuth: tls.RequireAnyClientCert}},
		{name: "client certificate required, TLS 1.2", certificate: p256, config: tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}},
		{name: "no certificate", config: tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, errors.New("no certificate")
		}}},
		{name: "plain HTTP", raw: func(connection net.Conn) {
			io.WriteString(connection, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		}},
		{name: "closes at once", raw: func(net.Conn) {}},
		{name: "closes behind the hello", raw: func(connection net.Conn) { connection.Read(make([]byte, 4096)) }},
		{name: "noise", raw: func(connection net.Conn) { connection.Write(make([]byte, 4096)) }},
		{name: "alert: internal error", raw: alert(80)},
		{name: "alert: unrecognised name", raw: alert(112)},
		{name: "alert: handshake failure", raw: alert(40)},
		{name: "alert: protocol version", raw: alert(70)},
	}
}

// A server that answers every hello with an alert.
func alert(description byte) func(net.Conn) {
	return func(connection net.Conn) {
		connection.Read(make([]byte, 4096))
		connection.Write([]byte{21, 3, 3, 0, 2, 2, description})
		// So that what was not read resets nothing.
		io.Copy(io.Discard, connection)
	}
}

// Starts all servers. They end with the program.
func serve() (map[string]int, error) {
	ports := make(map[string]int)
	for _, server := range servers() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		ports[server.name] = listener.Addr().(*net.TCPAddr).Port
		if server.raw != nil {
			go acceptRaw(listener, server.raw)
			continue
		}
		if server.certificate.key != nil {
			made, err := server.certificate.make()
			if err != nil {
				return nil, err
			}
			server.config.Certificates = []tls.Certificate{made}
		}
		// So that every version is spoken that there is.
		if server.config.MinVersion == 0 {
			server.config.MinVersion = tls.VersionTLS10
		}
		go acceptTLS(listener, &server.config, server.http2)
	}
	return ports, nil
}

func acceptRaw(listener net.Listener, serve func(net.Conn)) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			serve(connection)
		}()
	}
}

// Answers 200, or what the path says.
func answer(writer http.ResponseWriter, request *http.Request) {
	switch {
	case request.URL.Path == "/bad":
		writer.WriteHeader(http.StatusInternalServerError)
	case request.URL.Path == "/resumed":
		if request.TLS.DidResume {
			writer.WriteHeader(http.StatusInternalServerError)
		}
	case request.URL.Path == "/to-bad":
		http.Redirect(writer, request, "/bad", http.StatusFound)
	case request.URL.Path == "/large":
		writer.Write(make([]byte, 1<<20))
	case request.URL.Path == "/large-head":
		writer.Header().Set("X-Large", strings.Repeat("x", 1<<20))
	default:
		io.WriteString(writer, "ok")
	}
}

func acceptTLS(listener net.Listener, config *tls.Config, isHTTP2 bool) {
	silent := log.New(io.Discard, "", 0)
	if os.Getenv("PROBER_LOG") != "" {
		silent = log.Default()
	}
	http1 := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: silent, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	plain := make(chan net.Conn)
	go http1.Serve(&handedOver{listener.Addr(), plain})
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			encrypted := tls.Server(connection, config)
			if err := encrypted.HandshakeContext(context.Background()); err != nil {
				silent.Print(err)
				connection.Close()
				return
			}
			// A server that has HTTP/2 alone speaks it whatever was agreed upon.
			if isHTTP2 && (len(config.NextProtos) == 1 || encrypted.ConnectionState().NegotiatedProtocol == "h2") {
				(&http2.Server{}).ServeConn(encrypted, &http2.ServeConnOpts{BaseConfig: http1})
				return
			}
			plain <- encrypted
		}()
	}
}

// Connections whose handshake is done.
type handedOver struct {
	address     net.Addr
	connections chan net.Conn
}

func (h *handedOver) Accept() (net.Conn, error) { return <-h.connections, nil }
func (h *handedOver) Close() error              { return nil }
func (h *handedOver) Addr() net.Addr            { return h.address }
