// Checks a service's log with the public packages of Go's checksum database and of
// transparency-dev: nothing here computes a Merkle tree or a signature itself.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	url := flag.String("url", "", "URL of the service")
	key := flag.String("key", "", "the log's public key, under its current origin")
	written := flag.Int("records", 0, "how many records to write first")
	flag.Parse()
	if err := check(*url, *key, *written); err != nil {
		fmt.Fprintf(os.Stderr, "The log is not as it should be: %v\n", err)
		os.Exit(1)
	}
}

// check writes records, in two parts if it can, and checks the log that results.
func check(url, key string, written int) error {
	verifier, err := newVerifier(key)
	if err != nil {
		return err
	}
	service := newService(url)

	first := (written + 1) / 2
	receipts, err := write(service, 0, first)
	if err != nil {
		return err
	}
	before, err := verifier.fetch(service)
	if err != nil {
		return err
	}
	more, err := write(service, first, written)
	if err != nil {
		return err
	}
	receipts = append(receipts, more...)
	after, err := verifier.fetch(service)
	if err != nil {
		return err
	}
	if grown := after.N - before.N; grown < int64(len(more)) {
		return fmt.Errorf("%d records were written, and the log grew by %d", len(more), grown)
	}
	fmt.Printf("signed checkpoints: %d and %d leaves\n", before.N, after.N)

	log := newLog(service, after)
	if err := log.checkTree(); err != nil {
		return err
	}
	entries, err := log.readEntries()
	if err != nil {
		return err
	}
	if err := log.checkInclusion(entries); err != nil {
		return err
	}
	fmt.Printf("inclusion by tiles: %d entries\n", len(entries))
	if err := log.checkConsistency(before); err != nil {
		return err
	}
	fmt.Println("consistency by tiles: the two checkpoints")
	sizes, err := log.checkAnsweredConsistency(before, verifier)
	if err != nil {
		return err
	}
	fmt.Printf("consistency by the API: from sizes %v\n", sizes)
	proven, err := checkRecords(service, log, verifier, entries, receipts)
	if err != nil {
		return err
	}
	fmt.Printf("proofs and commitments: %d records\n", proven)
	return nil
}
