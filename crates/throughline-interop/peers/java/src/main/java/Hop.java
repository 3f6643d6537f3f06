import com.sun.net.httpserver.HttpServer;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.opentelemetry.api.baggage.Baggage;
import io.opentelemetry.api.baggage.propagation.W3CBaggagePropagator;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.context.propagation.TextMapPropagator;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.instrumentation.grpc.v1_6.GrpcTelemetry;
import io.opentelemetry.instrumentation.javahttpclient.JavaHttpClientTelemetry;
import io.opentelemetry.instrumentation.javahttpserver.JavaHttpServerTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** A hop of the interoperability test, on the OpenTelemetry SDK for Java. What a hop does: ../README.md. */
public final class Hop {
  private static final String NAME = System.getenv("OTEL_SERVICE_NAME");

  private static final MethodDescriptor.Marshaller<String> TEXT =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(String text) {
          return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public String parse(InputStream stream) {
          try {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  private static final MethodDescriptor<String, String> METHOD =
      MethodDescriptor.<String, String>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("throughline.interop.Hop/Hop")
          .setRequestMarshaller(TEXT)
          .setResponseMarshaller(TEXT)
          .build();

  private final HttpClient httpClient;
  private final GrpcTelemetry grpcTelemetry;

  private Hop(OpenTelemetrySdk sdk) {
    httpClient = JavaHttpClientTelemetry.create(sdk).newHttpClient(HttpClient.newHttpClient());
    grpcTelemetry = GrpcTelemetry.create(sdk);
  }

  public static void main(String[] arguments) throws Exception {
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(Resource.builder().put("service.name", NAME).build())
            .addSpanProcessor(
                SimpleSpanProcessor.create(
                    OtlpHttpSpanExporter.builder()
                        .setEndpoint(System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + "/v1/traces")
                        .build()))
            .build();
    TextMapPropagator propagators =
        TextMapPropagator.composite(W3CTraceContextPropagator.getInstance(), W3CBaggagePropagator.getInstance());
    OpenTelemetrySdk sdk =
        OpenTelemetrySdk.builder()
            .setTracerProvider(provider)
            .setPropagators(ContextPropagators.create(propagators))
            .build();
    Hop hop = new Hop(sdk);

    HttpServer http = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    http.setExecutor(Executors.newCachedThreadPool());
    http.createContext(
            "/hop",
            exchange -> {
              String query = exchange.getRequestURI().getRawQuery();
              String next = URLDecoder.decode(query.substring("next=".length()), StandardCharsets.UTF_8);
              byte[] body = hop.goOn(next).getBytes(StandardCharsets.UTF_8);
              exchange.sendResponseHeaders(200, body.length);
              exchange.getResponseBody().write(body);
              exchange.close();
            })
        .getFilters()
        .add(JavaHttpServerTelemetry.create(sdk).newFilter());
    http.start();
    ServerServiceDefinition service =
        ServerServiceDefinition.builder("throughline.interop.Hop")
            .addMethod(
                METHOD,
                ServerCalls.asyncUnaryCall(
                    (next, answer) -> {
                      answer.onNext(hop.goOn(next));
                      answer.onCompleted();
                    }))
            .build();
    Server grpc =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0), InsecureServerCredentials.create())
            .addService(service)
            .intercept(hop.grpcTelemetry.newServerInterceptor())
            .build()
            .start();

    System.out.printf("ready http=127.0.0.1:%d grpc=127.0.0.1:%d%n", http.getAddress().getPort(), grpc.getPort());
    System.in.readAllBytes();
    provider.shutdown().join(5, TimeUnit.SECONDS);
    System.exit(0);
  }

  /** Says what it sees of the trace, and goes on to the first of the others. */
  private String goOn(String next) {
    SpanContext seen = Span.current().getSpanContext();
    String state =
        seen.getTraceState().asMap().entrySet().stream()
            .map(entry -> entry.getKey() + "=" + entry.getValue())
            .collect(Collectors.joining(","));
    String user = Baggage.current().getEntryValue("user.name");
    String own =
        String.format("service=%s trace=%s state=%s user=%s%n", NAME, seen.getTraceId(), state, user == null ? "" : user);
    String[] hops = next.split(",", 2);
    if (hops[0].isEmpty()) {
      return own;
    }
    String address = hops[0].substring(hops[0].indexOf(':') + 1);
    String rest = hops.length > 1 ? hops[1] : "";
    try {
      return own + (hops[0].startsWith("grpc:") ? overGrpc(address, rest) : overHttp(address, rest));
    } catch (IOException | InterruptedException error) {
      throw new IllegalStateException(error);
    }
  }

  private String overHttp(String address, String rest) throws IOException, InterruptedException {
    URI target = URI.create("http://" + address + "/hop?next=" + URLEncoder.encode(rest, StandardCharsets.UTF_8));
    HttpRequest request = HttpRequest.newBuilder(target).version(HttpClient.Version.HTTP_1_1).build();
    return httpClient.send(request, BodyHandlers.ofString()).body();
  }

  private String overGrpc(String address, String rest) {
    ManagedChannel channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    try {
      return ClientCalls.blockingUnaryCall(
          ClientInterceptors.intercept(channel, grpcTelemetry.newClientInterceptor()),
          METHOD,
          CallOptions.DEFAULT,
          rest);
    } finally {
      channel.shutdownNow();
    }
  }
}
