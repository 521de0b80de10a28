// Stores a record and reads its incident back: `go run store.go`, with the service's address in
// DATA_STORAGE_URL. 503, or no answer, is sent again: the same record is stored once.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

const attemptsMax = 5

func ask(send func() (*http.Response, error)) (http.Header, []byte) {
	var problem error
	for attempt := 1; attempt <= attemptsMax; attempt++ {
		wait := 1
		response, err := send()
		if err == nil {
			var body []byte
			body, err = io.ReadAll(response.Body)
			response.Body.Close()
			if err == nil && response.StatusCode < 300 {
				return response.Header, body
			}
			if err == nil {
				err = fmt.Errorf("%s: %s", response.Status, body)
			}
			if response.StatusCode >= 300 && response.StatusCode != http.StatusServiceUnavailable {
				log.Fatal(err)
			}
			fmt.Sscan(response.Header.Get("Retry-After"), &wait)
		}
		problem = err
		time.Sleep(time.Duration(wait) * time.Second)
	}
	log.Fatalf("given up after %d attempts: %v", attemptsMax, problem)
	return nil, nil
}

func main() {
	http.DefaultClient.Timeout = 30 * time.Second
	service := os.Getenv("DATA_STORAGE_URL")
	if service == "" {
		service = "http://127.0.0.1:8080"
	}
	// Made once: another createdAt would be another record.
	now := time.Now().UTC()
	record := fmt.Sprintf(`{"name": "rr-go", "namespace": "kubernaut-system", "phase": "Pending",
		"createdAt": "%s", "correlationId": "req-go-%d",
		"signalType": "prometheus-alert", "signalName": "HighMemoryUsage", "signalNamespace": "production",
		"targetType": "deployment", "targetName": "api-server", "targetNamespace": "production"}`,
		now.Format(time.RFC3339Nano), now.UnixNano())
	header, stored := ask(func() (*http.Response, error) {
		return http.Post(service+"/api/v1/audit/remediation", "application/json", strings.NewReader(record))
	})
	_, incident := ask(func() (*http.Response, error) {
		return http.Get(service + header.Get("Location"))
	})
	fmt.Printf("%s\n%s\n", stored, incident)
}
