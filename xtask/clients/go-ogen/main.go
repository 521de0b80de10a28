// Uses the client that ogen generates: a write, a list and an error.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/ogen-go/ogen/ogenerrors"

	"clients/ogen/client"
)

func main() {
	// The first embedding may take long.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := use(ctx, os.Getenv("DATA_STORAGE_URL")); err != nil {
		fmt.Fprintf(os.Stderr, "The client of ogen failed: %v\n", err)
		os.Exit(1)
	}
}

// nobody sends no token: the service admits every caller.
type nobody struct{}

func (nobody) BearerToken(context.Context, client.OperationName) (client.BearerToken, error) {
	return client.BearerToken{}, ogenerrors.ErrSkipClientSecurity
}

func use(ctx context.Context, url string) error {
	service, err := client.NewClient(url, nobody{})
	if err != nil {
		return err
	}
	record := client.RemediationRecord{
		Name:          "rr-ogen",
		Namespace:     "kubernaut-system",
		Phase:         client.RemediationRecordPhaseProcessing,
		CreatedAt:     time.Now(),
		CorrelationId: "ogen-" + uuid.NewString(),
		SignalType:    "prometheus-alert",
		SignalName:    "HighMemoryUsage",
		TargetType:    "deployment",
		TargetName:    "api-server",
		Severity:      client.NewOptNilString("critical"),
	}

	answer, err := service.StoreRemediationRecord(ctx, &record, client.StoreRemediationRecordParams{})
	if err != nil {
		return err
	}
	stored, is := answer.(*client.RecordedHeaders)
	if !is {
		return fmt.Errorf("a new record was answered with %+v", answer)
	}
	if stored.Response.ID <= 0 || stored.Response.EmbeddingId != stored.Response.ID {
		return fmt.Errorf("a new record was given the ids %+v", stored.Response)
	}
	if stored.IdempotentReplayed.IsSet() {
		return fmt.Errorf("a new record was answered as a replay")
	}

	answer, err = service.StoreRemediationRecord(ctx, &record, client.StoreRemediationRecordParams{})
	if err != nil {
		return err
	}
	again, is := answer.(*client.RecordedHeaders)
	if !is {
		return fmt.Errorf("the same record was answered with %+v", answer)
	}
	if again.Response.Log.Commitment != stored.Response.Log.Commitment {
		return fmt.Errorf("the same record was answered with %+v, not %+v", again.Response.Log, stored.Response.Log)
	}
	// Meanwhile the log may have the record.
	again.Response.Log = stored.Response.Log
	if again.Response != stored.Response {
		return fmt.Errorf("the same record was answered with %+v, not %+v", again.Response, stored.Response)
	}
	if again.IdempotentReplayed.Or("") != "true" {
		return fmt.Errorf("the same record was answered without Idempotent-Replayed")
	}

	listed, err := service.ListIncidents(ctx, client.ListIncidentsParams{
		CorrelationID: client.NewOptString(record.CorrelationId),
	})
	if err != nil {
		return err
	}
	list, is := listed.(*client.IncidentPageHeaders)
	if !is {
		return fmt.Errorf("a list was answered with %+v", listed)
	}
	if list.Response.Pagination.Total.Or(0) != 1 || len(list.Response.Data) != 1 {
		return fmt.Errorf("a list of one incident was answered with %+v", list.Response)
	}
	incident := list.Response.Data[0]
	if incident.CorrelationID != record.CorrelationId ||
		incident.AlertName.Or("") != record.SignalName ||
		incident.AlertSeverity.Or("") != record.Severity.Or("") {
		return fmt.Errorf("the incident does not match the record: %+v", incident)
	}

	record.Phase = "Nope"
	answer, err = service.StoreRemediationRecord(ctx, &record, client.StoreRemediationRecordParams{})
	if err != nil {
		return err
	}
	refused, is := answer.(*client.InvalidRequestHeaders)
	if !is {
		return fmt.Errorf("an unknown phase was answered with %+v", answer)
	}
	problem := refused.Response
	if problem.Status != http.StatusBadRequest || len(problem.Errors) != 1 {
		return fmt.Errorf("an unknown phase was answered with another problem: %+v", problem)
	}
	if violation := problem.Errors[0]; violation.Field != "phase" || violation.Rule != "enum" {
		return fmt.Errorf("an unknown phase was answered with %+v", violation)
	}
	return nil
}
