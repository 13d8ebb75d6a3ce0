package scotoma

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// Sampling says how tokens are chosen: Sampling(0.7, TopP(0.9), TopK(50), Seed(1)). An option may set any other field.
func Sampling(temperature float64, options ...func(*v1.Sampling)) *v1.Sampling {
	return with(&v1.Sampling{Temperature: temperature}, options)
}

// TopK keeps the k likeliest tokens.
func TopK(k uint32) func(*v1.Sampling) { return func(s *v1.Sampling) { s.TopK = k } }

// TopP keeps the likeliest tokens that together reach this probability, above 0 and at most 1.
func TopP(p float64) func(*v1.Sampling) { return func(s *v1.Sampling) { s.TopP = proto.Float64(p) } }

// MinP keeps tokens at least so likely as this share of the likeliest.
func MinP(p float64) func(*v1.Sampling) { return func(s *v1.Sampling) { s.MinP = proto.Float64(p) } }

// Seed is that of the draws; without it the server draws one and returns it.
func Seed(seed uint64) func(*v1.Sampling) {
	return func(s *v1.Sampling) { s.Seed = proto.Uint64(seed) }
}

// RepetitionPenalty divides the logits of all tokens so far; 1: none.
func RepetitionPenalty(penalty float64) func(*v1.Sampling) {
	return func(s *v1.Sampling) { s.RepetitionPenalty = proto.Float64(penalty) }
}
