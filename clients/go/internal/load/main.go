// Command load offers a server more than it can do, whatever it answers: calls begin at their times, not when others have ended.
//
//	load [-times 10 | -rate 4000] [-seconds 60] ADDRESS
//
// First it asks 8 at a time for as long as -alone says, which is what the server can do; then it begins -times as many calls a second, each a
// Generate with a picture of its own, over -connections. It prints one object of JSON: latencies (milliseconds) of answers, of refusals
// (RESOURCE_EXHAUSTED) and of health checks on a connection of their own, and errors of every other kind.
//
// Below the client library, with messages that are made once: one core offers some ten thousand calls a second.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

const (
	generate = "/scotoma.v1.InferenceService/Generate"
	check    = "/grpc.health.v1.Health/Check"
	question = "USER: <image>\nWhat shape is it? ASSISTANT:"
	atOnce   = 8
)

// raw passes messages as bytes.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = nil
	return nil
}

func (raw) Name() string { return "proto" }

// requests makes messages that differ in their last bytes alone: those of a picture behind its end, which make it another picture.
type requests struct {
	template []byte
	at       int
	made     atomic.Uint64
}

func newRequests(side int, tokens uint32) (*requests, error) {
	canvas := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.RGBA{235, 235, 235, 255}), image.Point{}, draw.Src)
	red := image.Rect(side/5, side/3, side/3, side/2)
	draw.Draw(canvas, red, image.NewUniform(color.RGBA{214, 40, 40, 255}), image.Point{}, draw.Src)
	var file bytes.Buffer
	if err := png.Encode(&file, canvas); err != nil {
		return nil, err
	}
	mark := []byte("numbered")
	picture := append(file.Bytes(), mark...)
	request := &v1.GenerateRequest{
		Prompt: &v1.Prompt{
			Text:   question,
			Images: []*v1.Image{{Source: &v1.Image_Data{Data: picture}}},
		},
		MaxTokens: tokens,
	}
	template, err := proto.Marshal(request)
	return &requests{template: template, at: bytes.LastIndex(template, mark)}, err
}

func (r *requests) next() []byte {
	message := slices.Clone(r.template)
	binary.LittleEndian.PutUint64(message[r.at:], r.made.Add(1))
	return message
}

// outcomes collects what became of calls.
type outcomes struct {
	lock     sync.Mutex
	answered []float64
	refused  []float64
	errors   map[string]int
	example  string
}

func (o *outcomes) add(begun time.Time, err error) {
	took := float64(time.Since(begun).Microseconds()) / 1e3
	o.lock.Lock()
	defer o.lock.Unlock()
	switch status.Code(err) {
	case codes.OK:
		o.answered = append(o.answered, took)
	case codes.ResourceExhausted:
		o.refused = append(o.refused, took)
	default:
		o.errors[status.Code(err).String()]++
		o.example = err.Error()
	}
}

func ask(connection *grpc.ClientConn, message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, generate)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&message); err != nil && err != io.EOF {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var event []byte
	for {
		switch err := stream.RecvMsg(&event); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// alone returns how many calls a second are answered where no more than a few are on their way.
func alone(connection *grpc.ClientConn, from *requests, seconds float64) (float64, error) {
	var (
		group    sync.WaitGroup
		answered atomic.Int64
		failed   atomic.Pointer[error]
	)
	begun := time.Now()
	for range atOnce {
		group.Go(func() {
			for time.Since(begun).Seconds() < seconds {
				switch err := ask(connection, from.next()); status.Code(err) {
				case codes.OK:
					answered.Add(1)
				case codes.ResourceExhausted:
					// More callers than the queue holds: the machine is busy all the same.
					time.Sleep(time.Millisecond)
				default:
					failed.Store(&err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(answered.Load()) / time.Since(begun).Seconds(), nil
}

// offer begins `rate` calls a second at their times and waits until each has ended.
func offer(connections []*grpc.ClientConn, from *requests, rate, seconds float64) (*outcomes, int, float64) {
	found := &outcomes{errors: map[string]int{}}
	var group sync.WaitGroup
	begun, sent := time.Now(), 0
	for {
		passed := time.Since(begun).Seconds()
		if passed >= seconds {
			break
		}
		for due := int(passed * rate); sent < due; sent++ {
			connection, message := connections[sent%len(connections)], from.next()
			group.Go(func() {
				asked := time.Now()
				found.add(asked, ask(connection, message))
			})
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begun).Seconds()
	group.Wait()
	return found, sent, took
}

// watch asks after the server's health every 100 ms until `over` is closed.
func watch(connection *grpc.ClientConn, over <-chan struct{}) []float64 {
	var took []float64
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return took
		case <-ticker.C:
			var asked, answer []byte
			begun := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			err := connection.Invoke(ctx, check, &asked, &answer)
			cancel()
			if err != nil {
				fmt.Fprintln(os.Stderr, "health:", err)
			}
			took = append(took, float64(time.Since(begun).Microseconds())/1e3)
		}
	}
}

type spread struct {
	Count  int     `json:"count"`
	Median float64 `json:"median_ms"`
	P95    float64 `json:"p95_ms"`
	Most   float64 `json:"most_ms"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	at := func(share float64) float64 { return values[min(int(share*float64(len(values))), len(values)-1)] }
	return spread{len(values), at(0.5), at(0.95), values[len(values)-1]}
}

func run() error {
	times := flag.Float64("times", 10, "how many times what the server can do")
	rate := flag.Float64("rate", 0, "calls a second, in place of -times")
	seconds := flag.Float64("seconds", 60, "for how long")
	measured := flag.Float64("alone", 5, "seconds in which it is measured what the server can do")
	count := flag.Int("connections", 16, "connections; without keys each is a client")
	side := flag.Int("side", 336, "width and height of the pictures")
	tokens := flag.Uint("tokens", 4, "tokens of an answer")
	flag.Parse()
	from, err := newRequests(*side, uint32(*tokens))
	if err != nil {
		return err
	}
	connections := make([]*grpc.ClientConn, *count+1)
	for i := range connections {
		options := []grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
			grpc.WithDisableRetry(),
		}
		if connections[i], err = grpc.NewClient(flag.Arg(0), options...); err != nil {
			return err
		}
		defer connections[i].Close()
	}
	capacity, err := alone(connections[1], from, *measured)
	if err != nil {
		return err
	}
	if *rate == 0 {
		*rate = *times * capacity
	}
	over, checks := make(chan struct{}), make(chan []float64)
	go func() { checks <- watch(connections[0], over) }()
	found, sent, took := offer(connections[1:], from, *rate, *seconds)
	close(over)
	health := <-checks
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"alone_per_second": capacity, "wanted_per_second": *rate, "offered_per_second": float64(sent) / took, "sent": sent,
		"answered": spreadOf(found.answered), "refused": spreadOf(found.refused), "health": spreadOf(health),
		"errors": found.errors, "example": found.example,
	})
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
