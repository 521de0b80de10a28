package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// receipt is the answer to a write.
type receipt struct {
	ID  int64
	Log struct {
		Commitment string
	}
}

// storedEntry is the entry of a record.
type storedEntry struct {
	ID                      int64
	Kind, Month, Commitment string
}

// write stores records with the numbers from first to end-1.
func write(service *service, first, end int) ([]receipt, error) {
	run := rand.Text()
	receipts := make([]receipt, end-first)
	err := each(len(receipts), func(number int) error {
		// The texts have characters that some programs escape in JSON.
		record := map[string]any{
			"name":          fmt.Sprintf("rr-log-%d", first+number),
			"cluster":       "<eu&é>",
			"message":       "<&>   😀",
			"namespace":     "kubernaut-system",
			"phase":         "Processing",
			"createdAt":     time.Now().UTC(),
			"correlationId": fmt.Sprintf("log-%s-%d", run, first+number),
			"signalType":    "prometheus-alert",
			"signalName":    "HighMemoryUsage",
			"targetType":    "deployment",
			"targetName":    "api-server",
			"severity":      "critical",
		}
		return service.post("/api/v1/audit/remediation", record, &receipts[number])
	})
	return receipts, err
}

// checkRecords checks the proof and the commitment of every record in the log, and that the
// receipts' records are among them. It returns how many there are.
func checkRecords(
	service *service, log *log, verifier *verifier, entries [][]byte, receipts []receipt,
) (int64, error) {
	var (
		count atomic.Int64
		found = make([]storedEntry, len(entries))
	)
	err := each(len(entries), func(leaf int) error {
		entry := &found[leaf]
		if err := decode("an entry", entries[leaf], entry); err != nil {
			return err
		}
		switch entry.Kind {
		case "remediation", "aianalysis", "workflow", "execution", "event":
		default:
			entry.ID = 0
			return nil
		}
		count.Add(1)
		err := checkProof(service, log, verifier, int64(leaf), entry.ID, entries[leaf])
		if err == nil {
			err = checkCommitment(service, int64(leaf), entry)
		}
		if err != nil {
			return fmt.Errorf("the record %d of leaf %d: %w", entry.ID, leaf, err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}

	logged := map[int64]string{}
	for _, entry := range found {
		if entry.ID == 0 {
			continue
		}
		if _, is := logged[entry.ID]; is {
			return 0, fmt.Errorf("the record %d has two leaves", entry.ID)
		}
		logged[entry.ID] = entry.Commitment
	}
	for _, receipt := range receipts {
		commitment, is := logged[receipt.ID]
		if !is {
			return 0, fmt.Errorf("the record %d was stored, and has no leaf", receipt.ID)
		}
		if commitment != receipt.Log.Commitment {
			return 0, fmt.Errorf("the receipt of the record %d has another commitment than its leaf",
				receipt.ID)
		}
	}
	return count.Load(), nil
}

// checkProof checks the proof that the service gives of a record.
func checkProof(
	service *service, log *log, verifier *verifier, leaf, id int64, entry []byte,
) error {
	text, err := service.get(fmt.Sprintf("/api/v1/audit/records/%d/proof", id))
	if err != nil {
		return err
	}
	var given proof.TLogProof
	if err := given.Unmarshal(text); err != nil {
		return err
	}
	if !bytes.Equal(given.Marshal(), text) {
		return fmt.Errorf("its proof is written in another form: %q", text)
	}
	tree, err := verifier.open(given.Checkpoint)
	if err != nil {
		return err
	}
	if tree != log.tree {
		return fmt.Errorf("its proof has the checkpoint %v, not the last one, %v", tree, log.tree)
	}
	if int64(given.Index) != leaf || !bytes.Equal(given.ExtraData, entry) {
		return fmt.Errorf("its proof is of leaf %d with the entry %s", given.Index, given.ExtraData)
	}
	hashes := make(tlog.RecordProof, len(given.Hashes))
	for number, hash := range given.Hashes {
		hashes[number] = hash
	}
	return tlog.CheckRecord(hashes, tree.N, tree.Hash, leaf, tlog.RecordHash(given.ExtraData))
}

// checkCommitment checks that a record is what its entry commits to.
func checkCommitment(service *service, leaf int64, entry *storedEntry) error {
	var stored struct {
		ID     int64
		Kind   string
		Record json.RawMessage
		Log    struct {
			Index    *int64
			Nonce    []byte
			Envelope map[string]any
		}
	}
	err := service.getJSON(fmt.Sprintf("/api/v1/audit/records/%d", entry.ID), &stored)
	if err != nil {
		return err
	}
	if stored.ID != entry.ID || stored.Kind != entry.Kind {
		return fmt.Errorf("it is the %s %d", stored.Kind, stored.ID)
	}
	if stored.Log.Index == nil || *stored.Log.Index != leaf {
		return fmt.Errorf("it names another leaf")
	}
	envelope, err := canonical(stored.Log.Envelope)
	if err != nil {
		return err
	}
	if hash(stored.Log.Nonce, envelope) != entry.Commitment {
		return fmt.Errorf("the entry does not commit to its envelope %s", envelope)
	}

	if hash(stored.Record) != stored.Log.Envelope["content_hash"] {
		return fmt.Errorf("its envelope has another content_hash: %s", envelope)
	}
	var record struct {
		CorrelationID string `json:"correlationId"`
		CreatedAt     time.Time
	}
	if err := json.Unmarshal(stored.Record, &record); err != nil {
		return err
	}
	if record.CorrelationID != stored.Log.Envelope["correlation_id"] {
		return fmt.Errorf("its envelope has another correlation_id: %s", envelope)
	}
	if record.CreatedAt.UTC().Format("2006-01") != entry.Month {
		return fmt.Errorf("its entry has the month %s", entry.Month)
	}
	return nil
}

// canonical writes an object of strings and null as RFC 8785 does, but escapes U+2028 and U+2029.
func canonical(value map[string]any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// hash returns SHA-256 of the parts in base64.
func hash(parts ...[]byte) string {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return base64.StdEncoding.EncodeToString(sum[:])
}
