// A function in Go with nothing but Go's own library: it speaks the Runtime API itself.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

type event struct {
	Name string `json:"name"`
}

type answer struct {
	Hello     string `json:"hello"`
	RequestID string `json:"request_id"`
}

func handle(requestID string, payload []byte) ([]byte, error) {
	var in event
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	fmt.Println("hello,", in.Name)
	return json.Marshal(answer{Hello: in.Name, RequestID: requestID})
}

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			log.Fatal(err)
		}
		payload, err := io.ReadAll(next.Body)
		next.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		requestID := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		body, failure := handle(requestID, payload)
		where := "/response"
		if failure != nil {
			where = "/error"
			body, _ = json.Marshal(map[string]string{
				"errorType": "Function.BadEvent", "errorMessage": failure.Error(),
			})
		}
		posted, err := http.Post(api+requestID+where, "application/json", bytes.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		posted.Body.Close()
	}
}
