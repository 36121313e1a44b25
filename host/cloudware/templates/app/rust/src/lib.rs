//! Answers HTTP: greets, and counts visits in key-value data.

use cloudware_sdk::{
    config,
    http::{Request, Response, Status},
    kv::Bucket,
};

fn handle(request: Request) -> Response {
    match greet(&request) {
        Ok(text) => Response::text(text),
        Err(error) => {
            Response::text(format!("{error}\n")).with_status(Status::INTERNAL_SERVER_ERROR)
        }
    }
}

fn greet(request: &Request) -> Result<String, Box<dyn std::error::Error>> {
    let greeting = config::get("greeting")?.unwrap_or_default();
    let visits = Bucket::open("visits")?.increment("count", 1)?;
    Ok(format!(
        "{greeting} from Rust at {}, visit {visits}\n",
        request.path()
    ))
}

cloudware_sdk::app!(handle);
