// Works off rows of the endpoint log, each at least once: see README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
)

func main() {
	tail := exec.Command(os.Args[1], os.Args[2:]...)
	tail.Stderr = os.Stderr
	done, _ := tail.StdinPipe()
	rows, _ := tail.StdoutPipe()
	if err := tail.Start(); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewReader(rows)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		// What is no text comes as {"base64": "..."}.
		var row struct {
			Position, Outcome  string
			MessageId, Message any
		}
		if err := json.Unmarshal(line, &row); err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Outcome, row.MessageId, row.Message)
		// Only now it is done: after a crash before this line it comes again.
		fmt.Fprintln(done, row.Position)
	}
	if err := tail.Wait(); err != nil {
		log.Fatal(err)
	}
}
