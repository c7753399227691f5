// A small server: answers with what was asked for, and counts.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	address := ":8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	var asked atomic.Int64
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		sum := sha256.Sum256([]byte(request.URL.Path))
		writer.Header().Set("Content-Type", "application/json")
		json.NewEncoder(writer).Encode(map[string]any{
			"path": request.URL.Path, "sha256": hex.EncodeToString(sum[:]), "asked": asked.Add(1),
		})
	})
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() { log.Fatal(http.ListenAndServe(address, nil)) }()
	<-ended
}
