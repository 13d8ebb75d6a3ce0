package scotoma

import (
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A FieldViolation is a field of the request that the server refused.
type FieldViolation struct {
	// Field is its path, interventions[0].drop_layers.layers[1] for instance.
	Field string
	// Description says what is wrong and what would be valid.
	Description string
}

// An Error is a failed call, with what the server said about it. Take it out of an error with errors.As.
type Error struct {
	// Code is the gRPC code; Unavailable where the connection was lost.
	Code codes.Code
	// Message is for people.
	Message string
	// Reason is the server's reason in capitals, for programs; empty where it gave none.
	Reason string
	// Fields are those that were refused.
	Fields []FieldViolation
	// RetryAfter is when to try again; 0 where that does not help.
	RetryAfter time.Duration
	// RequestID names the request in the server's log.
	RequestID string

	saysWhen bool
}

// of is the same error of a call that was named so, where the server named it not.
func (e *Error) of(requestID string) *Error {
	named := *e
	if named.RequestID == "" {
		named.RequestID = requestID
	}
	return &named
}

// saying is the same error in other words.
func (e *Error) saying(message string) *Error {
	other := *e
	other.Message = message
	return &other
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// GRPCStatus lets status.FromError and status.Code see the code.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// errTruncated: a stream without its last event.
var errTruncated = &Error{Code: codes.DataLoss, Message: "the stream ended early"}

// failed turns the error of a call into an *Error.
func failed(err error) error {
	var own *Error
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case errors.Is(err, io.EOF):
		return errTruncated
	}
	said := status.Convert(err)
	e := &Error{Code: said.Code(), Message: said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.RequestID = detail.GetReason(), detail.GetMetadata()["request_id"]
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				e.Fields = append(e.Fields, FieldViolation{v.GetField(), v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter, e.saysWhen = detail.GetRetryDelay().AsDuration(), true
		}
	}
	return e
}
