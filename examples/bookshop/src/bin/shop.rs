//! Takes orders: axum in front, reqwest, tonic, sqlx and redis behind.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use bookshop::price_service::price;
use bookshop::{Failure, Order, RECEIPTS, address};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use sqlx::SqlitePool;
use throughline::current;
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{ClientLayer, ServerLayer, TracedClient, UrlTemplate};
use throughline_jobs::sql::Statement;
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tower::Layer as _;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, book TEXT NOT NULL, price TEXT NOT NULL)";
static INSERT: Statement = Statement::sqlite("INSERT", "orders", "INSERT INTO orders (book, price) VALUES (?, ?)");

#[derive(Clone)]
struct Shop {
    stock: ClientWithMiddleware,
    prices: TracedClient<Channel>,
    database: SqlitePool,
    redis: MultiplexedConnection,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _tracing = throughline::init("shop");
    let prices = format!("http://{}", address("PRICES", "127.0.0.1:8082"));
    let shop = Shop {
        stock: ClientBuilder::new(reqwest::Client::new())
            .with(TraceMiddleware::new(ClientLayer::new()))
            .build(),
        prices: ClientLayer::new()
            .target(prices.clone())
            .layer(Channel::from_shared(prices)?.connect_lazy()),
        database: SqlitePool::connect(&address("DATABASE", "sqlite::memory:")).await?,
        redis: redis::Client::open(address("REDIS", "redis://localhost"))?
            .get_multiplexed_async_connection()
            .await?,
    };
    sqlx::query(TABLE).execute(&shop.database).await?;
    let app = Router::new()
        .route("/orders", post(order))
        .layer(ServerLayer::new())
        .with_state(shop);
    let listener = TcpListener::bind(address("SHOP", "127.0.0.1:8080")).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn order(State(shop): State<Shop>, Json(order): Json<Order>) -> Result<String, (StatusCode, String)> {
    shop.sell(&order)
        .await
        .map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

impl Shop {
    async fn sell(mut self, order: &Order) -> Result<String, Failure> {
        let url = format!("http://{}/stock/{}", address("STOCK", "127.0.0.1:8081"), order.book);
        let request = self.stock.get(url).with_extension(UrlTemplate::new("/stock/{book}"));
        let copies = request.send().await?.error_for_status()?.text().await?;
        let price = price(self.prices, order.book.clone()).await?;
        current(|span| span.set("book.copies", copies));

        let insert = sqlx::query(INSERT.text()).bind(&order.book).bind(&price);
        let id = INSERT.run(insert.execute(&self.database)).await?.last_insert_rowid();

        let mut receipt = vec![
            ("order".to_owned(), id.to_string()),
            ("price".to_owned(), price.clone()),
        ];
        let send = RECEIPTS.send(&mut receipt);
        let _: String = send.run_async(self.redis.xadd("receipts", "*", &receipt)).await?;
        Ok(format!("order {id}: {price}"))
    }
}
