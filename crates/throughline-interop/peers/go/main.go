// A hop of the interoperability test, on the OpenTelemetry SDK for Go. What a hop does: ../README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

const method = "/throughline.interop.Hop/Hop"

func main() {
	ctx := context.Background()
	exporter := must(otlptracehttp.New(ctx))
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))

	overHTTP := must(net.Listen("tcp", "127.0.0.1:0"))
	overGRPC := must(net.Listen("tcp", "127.0.0.1:0"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hop", func(w http.ResponseWriter, r *http.Request) {
		text, err := hop(r.Context(), r.URL.Query().Get("next"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, text)
	})
	go http.Serve(overHTTP, otelhttp.NewHandler(mux, "hop"))
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()), grpc.ForceServerCodecV2(raw{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "throughline.interop.Hop",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Hop", Handler: handle}},
	}, struct{}{})
	go server.Serve(overGRPC)

	fmt.Printf("ready http=%s grpc=%s\n", overHTTP.Addr(), overGRPC.Addr())
	io.Copy(io.Discard, os.Stdin)
	provider.Shutdown(ctx)
}

func handle(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var next string
	if err := decode(&next); err != nil {
		return nil, err
	}
	text, err := hop(ctx, next)
	return &text, err
}

// hop says what it sees of the trace, and goes on to the first of the others.
func hop(ctx context.Context, next string) (string, error) {
	seen := trace.SpanContextFromContext(ctx)
	own := fmt.Sprintf("service=%s trace=%s state=%s user=%s\n",
		os.Getenv("OTEL_SERVICE_NAME"), seen.TraceID(), seen.TraceState(), baggage.FromContext(ctx).Member("user.name").Value())
	first, rest, _ := strings.Cut(next, ",")
	if first == "" {
		return own, nil
	}
	protocol, address, _ := strings.Cut(first, ":")
	call := overHTTP
	if protocol == "grpc" {
		call = overGRPC
	}
	text, err := call(ctx, address, rest)
	return own + text, err
}

func overHTTP(ctx context.Context, address, rest string) (string, error) {
	target := "http://" + address + "/hop?next=" + url.QueryEscape(rest)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func overGRPC(ctx context.Context, address, rest string) (string, error) {
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	var text string
	err = connection.Invoke(ctx, method, &rest, &text)
	return text, err
}

// raw messages are text, without protobuf around it.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*message.(*string))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*string) = string(data.Materialize())
	return nil
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
