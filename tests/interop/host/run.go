package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend/grpcplugin"
	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
)

// stringList is a flag that may be given several times.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, " ") }

func (l *stringList) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// startedLine is the first line that run writes.
type startedLine struct {
	Op       string `json:"op"`
	PID      int    `json:"pid"`
	Protocol int    `json:"protocol"`
	Network  string `json:"network"`
	Address  string `json:"address"`
	StartMS  int64  `json:"start_ms"`
}

// exitedLine is the last line. Code is -1 after a signal. Graceful is true if nothing had to kill the plugin.
type exitedLine struct {
	Op       string `json:"op"`
	Code     int    `json:"code"`
	Graceful bool   `json:"graceful"`
}

// failedLine is the only line if the plugin does not start.
type failedLine struct {
	Op    string `json:"op"`
	Error string `json:"error"`
}

// run starts a plugin with nothing in its environment but what go-plugin adds and what -env names, as Grafana does,
// and answers requests side by side: an answer carries the id of its request.
func run(arguments []string, out *lineWriter) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	mtls := flags.Bool("mtls", false, "ask the plugin for mutual TLS (AutoMTLS)")
	folder := flags.String("dir", "", "working folder of the plugin")
	startTimeout := flags.Duration("start-timeout", 30*time.Second, "longest wait for the plugin's handshake")
	var environment stringList
	flags.Var(&environment, "env", "NAME=VALUE for the plugin (repeatable)")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("run needs the plugin's executable")
	}

	// go-plugin hands the host's standard input on to the plugin, and ours carries the requests.
	requests := os.Stdin
	empty, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer empty.Close()
	os.Stdin = empty

	command := exec.Command(flags.Arg(0), flags.Args()[1:]...)
	command.Dir = *folder
	command.Env = environment
	killed := &killWatch{}
	client := plugin.NewClient(&plugin.ClientConfig{
		Cmd: command,
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  grpcplugin.ProtocolVersion,
			MagicCookieKey:   grpcplugin.MagicCookieKey,
			MagicCookieValue: grpcplugin.MagicCookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{grpcplugin.ProtocolVersion: pluginSet()},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         *mtls,
		SkipHostEnv:      true,
		StartTimeout:     *startTimeout,
		Logger: hclog.New(&hclog.LoggerOptions{
			Name: "host", Output: io.MultiWriter(os.Stderr, killed), Level: hclog.Debug, JSONFormat: true,
		}),
	})
	defer client.Kill()

	begin := time.Now()
	connection, err := client.Client()
	if err == nil {
		err = connection.Ping()
	}
	if err != nil {
		client.Kill()
		return out.write(failedLine{Op: "failed", Error: err.Error()})
	}
	services, err := dispense(connection)
	if err != nil {
		return err
	}
	attached := client.ReattachConfig()
	started := startedLine{
		Op: "started", PID: command.Process.Pid, Protocol: client.NegotiatedVersion(),
		Network: attached.Addr.Network(), Address: attached.Addr.String(), StartMS: time.Since(begin).Milliseconds(),
	}
	if err := out.write(started); err != nil {
		return err
	}

	if err := serveRequests(requests, out, services); err != nil {
		return err
	}
	client.Kill()
	return out.write(exitedLine{Op: "exited", Code: command.ProcessState.ExitCode(), Graceful: !killed.seen()})
}

// serveRequests answers every line in a goroutine of its own and returns when the input has ended and all are answered.
func serveRequests(from io.Reader, out *lineWriter, services *services) error {
	var running sync.WaitGroup
	defer running.Wait()
	calls := newCalls()
	return eachLine(from, func(line []byte) error {
		request, err := parseRequest(line)
		if err != nil {
			return fmt.Errorf("a line is no request: %w", err)
		}
		// The call is known before the next line is read, so that a cancel that follows always finds it.
		ctx, done := calls.begin(request.ID)
		running.Add(1)
		go func() {
			defer running.Done()
			defer done()
			begin := time.Now()
			answer := services.answer(ctx, request, calls)
			answer["id"], answer["op"] = request.ID, request.Op
			answer["ms"] = float64(time.Since(begin).Microseconds()) / 1000
			if err := out.write(answer); err != nil {
				fmt.Fprintln(os.Stderr, "host:", err)
			}
		}()
		return nil
	})
}

// killWatch looks for go-plugin's own word, in its log, that it had to kill the plugin: it tells that nowhere else.
type killWatch struct {
	lock sync.Mutex
	saw  bool
}

func (w *killWatch) Write(line []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.saw = w.saw || strings.Contains(string(line), "failed to exit gracefully")
	return len(line), nil
}

func (w *killWatch) seen() bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.saw
}
