package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// workers is the number of concurrent requests.
const workers = 8

// service is reached by HTTP.
type service struct {
	url    string
	client http.Client
}

func newService(url string) *service {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = workers
	return &service{
		url:    strings.TrimSuffix(url, "/"),
		client: http.Client{Transport: transport, Timeout: time.Minute},
	}
}

// get returns the body of a response that must be 200.
func (s *service) get(path string) ([]byte, error) {
	response, err := s.client.Get(s.url + path)
	if err != nil {
		return nil, err
	}
	return body(response, http.StatusOK)
}

func (s *service) getJSON(path string, into any) error {
	text, err := s.get(path)
	if err != nil {
		return err
	}
	return decode(path, text, into)
}

// post sends JSON and decodes the body of a response that must be 201.
func (s *service) post(path string, from, into any) error {
	sent, err := json.Marshal(from)
	if err != nil {
		return err
	}
	response, err := s.client.Post(s.url+path, "application/json", bytes.NewReader(sent))
	if err != nil {
		return err
	}
	text, err := body(response, http.StatusCreated)
	if err != nil {
		return err
	}
	return decode(path, text, into)
}

func body(response *http.Response, wanted int) ([]byte, error) {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	request := response.Request
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err)
	}
	if response.StatusCode != wanted {
		return nil, fmt.Errorf("%s %s was answered with %s: %s",
			request.Method, request.URL.Path, response.Status, text)
	}
	return text, nil
}

func decode(path string, text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s was answered with %s: %w", path, text, err)
	}
	return nil
}

// each calls do for 0 to count-1, concurrently, and returns an error if there was one.
func each(count int, do func(int) error) error {
	var (
		group sync.WaitGroup
		once  sync.Once
		first error
	)
	next := make(chan int)
	stop := make(chan struct{})
	for range workers {
		group.Go(func() {
			for number := range next {
				if err := do(number); err != nil {
					once.Do(func() {
						first = err
						close(stop)
					})
				}
			}
		})
	}
feeding:
	for number := range count {
		select {
		case next <- number:
		case <-stop:
			break feeding
		}
	}
	close(next)
	group.Wait()
	return first
}
