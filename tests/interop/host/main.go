// Command host is the Go side of the interop tests: it lets Grafana's own Go SDK judge what the Python plugin says.
//
//	host decode
//	host run [-mtls] [-env NAME=VALUE]... [-dir FOLDER] [-start-timeout 30s] PLUGIN [ARGUMENT...]
//
// Both read one JSON object a line from standard input and write one a line to standard output, until the input ends.
// decode turns an encoded frame into a report of what the SDK read. run starts a plugin as Grafana does and passes
// it requests; see request.go for their fields. Logs, the plugin's included, go to standard error.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
)

const maxLine = 1 << 28

func main() {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	var err error
	switch command {
	case "decode":
		err = decode(os.Stdin, newLineWriter(os.Stdout))
	case "run":
		err = run(os.Args[2:], newLineWriter(os.Stdout))
	default:
		err = fmt.Errorf("usage: host decode | host run [options] PLUGIN [ARGUMENT...]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		os.Exit(1)
	}
}

// lineWriter writes JSON lines from several goroutines.
type lineWriter struct {
	lock    sync.Mutex
	encoder *json.Encoder
}

func newLineWriter(to io.Writer) *lineWriter {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return &lineWriter{encoder: encoder}
}

func (w *lineWriter) write(value any) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.encoder.Encode(value)
}

// eachLine calls do with every line of from that is not empty; the line is do's to keep.
func eachLine(from io.Reader, do func(line []byte) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := do(append([]byte(nil), lines.Bytes()...)); err != nil {
			return err
		}
	}
	return lines.Err()
}
