// Uses the client that oapi-codegen generates: a write, a list and an error.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"clients/oapi-codegen/client"
)

func main() {
	// The first embedding may take long.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := use(ctx, os.Getenv("DATA_STORAGE_URL")); err != nil {
		fmt.Fprintf(os.Stderr, "The client of oapi-codegen failed: %v\n", err)
		os.Exit(1)
	}
}

func use(ctx context.Context, url string) error {
	service, err := client.NewClientWithResponses(url)
	if err != nil {
		return err
	}
	severity := "critical"
	record := client.RemediationRecord{
		Name:          "rr-oapi-codegen",
		Namespace:     "kubernaut-system",
		Phase:         client.RemediationRecordPhaseProcessing,
		CreatedAt:     time.Now(),
		CorrelationId: "oapi-codegen-" + uuid.NewString(),
		SignalType:    "prometheus-alert",
		SignalName:    "HighMemoryUsage",
		TargetType:    "deployment",
		TargetName:    "api-server",
		Severity:      &severity,
	}

	stored, err := service.StoreRemediationRecordWithResponse(ctx, nil, record)
	if err != nil {
		return err
	}
	if stored.StatusCode() != http.StatusCreated || stored.JSON201 == nil {
		return fmt.Errorf("a new record was answered with %d %s", stored.StatusCode(), stored.Body)
	}
	if stored.JSON201.Id <= 0 || stored.JSON201.EmbeddingId != stored.JSON201.Id {
		return fmt.Errorf("a new record was given the ids %+v", *stored.JSON201)
	}
	if stored.Headers201.IdempotentReplayed != nil {
		return fmt.Errorf("a new record was answered as a replay")
	}

	again, err := service.StoreRemediationRecordWithResponse(ctx, nil, record)
	if err != nil {
		return err
	}
	if again.StatusCode() != http.StatusCreated || again.JSON201 == nil {
		return fmt.Errorf("the same record was answered with %d %s", again.StatusCode(), again.Body)
	}
	if again.JSON201.Log.Commitment != stored.JSON201.Log.Commitment {
		return fmt.Errorf("the same record was answered with %+v, not %+v", again.JSON201.Log, stored.JSON201.Log)
	}
	// Meanwhile the log may have the record.
	again.JSON201.Log = stored.JSON201.Log
	if *again.JSON201 != *stored.JSON201 {
		return fmt.Errorf("the same record was answered with %+v, not %+v", *again.JSON201, *stored.JSON201)
	}
	if replayed := again.Headers201.IdempotentReplayed; replayed == nil || *replayed != "true" {
		return fmt.Errorf("the same record was answered without Idempotent-Replayed")
	}

	list, err := service.ListIncidentsWithResponse(ctx, &client.ListIncidentsParams{CorrelationId: &record.CorrelationId})
	if err != nil {
		return err
	}
	if list.StatusCode() != http.StatusOK || list.JSON200 == nil {
		return fmt.Errorf("a list was answered with %d %s", list.StatusCode(), list.Body)
	}
	if total := list.JSON200.Pagination.Total; total == nil || *total != 1 || len(list.JSON200.Data) != 1 {
		return fmt.Errorf("a list of one incident was answered with %s", list.Body)
	}
	incident := list.JSON200.Data[0]
	if incident.CorrelationId != record.CorrelationId ||
		incident.AlertName == nil || *incident.AlertName != record.SignalName ||
		incident.AlertSeverity == nil || *incident.AlertSeverity != severity {
		return fmt.Errorf("the incident does not match the record: %s", list.Body)
	}

	record.Phase = "Nope"
	refused, err := service.StoreRemediationRecordWithResponse(ctx, nil, record)
	if err != nil {
		return err
	}
	problem := refused.ApplicationproblemJSON400
	if refused.StatusCode() != http.StatusBadRequest || problem == nil {
		return fmt.Errorf("an unknown phase was answered with %d %s", refused.StatusCode(), refused.Body)
	}
	if problem.Status != http.StatusBadRequest || problem.Errors == nil || len(*problem.Errors) != 1 {
		return fmt.Errorf("an unknown phase was answered with another problem: %s", refused.Body)
	}
	if violation := (*problem.Errors)[0]; violation.Field != "phase" || violation.Rule != "enum" {
		return fmt.Errorf("an unknown phase was answered with %+v", violation)
	}
	return nil
}
