//! Tries to reach out of the sandbox. The answer says for each way what came of it; a sandbox that
//! grants nothing answers empty lists and refusals.

use cloudware_sdk::http::{Request, Response};
use wasip2::{
    cli::environment,
    filesystem::preopens,
    http::{
        outgoing_handler,
        types::{Fields, OutgoingRequest, Scheme},
    },
    sockets::{
        instance_network::instance_network,
        ip_name_lookup,
        network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress},
        tcp_create_socket, udp_create_socket,
    },
};

const LOOPBACK: (u8, u8, u8, u8) = (127, 0, 0, 1);

/// Answers as JSON what each try gave. `?port=N` chooses the port on 127.0.0.1.
pub fn report(request: Request) -> Response {
    let port = crate::number(&request, "port")
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(80);
    Response::json(&serde_json::json!({
        "environment": environment::get_environment(),
        "arguments": environment::get_arguments(),
        "preopens": preopens::get_directories().len(),
        "file": read_file(),
        "tcp": verdict(connect_tcp(port)),
        "udp": verdict(bind_udp()),
        "lookup": verdict(look_up()),
        "http": request_http(port),
    }))
}

fn read_file() -> String {
    match std::fs::read("/etc/passwd") {
        Ok(bytes) => format!("reached {} bytes", bytes.len()),
        Err(error) => format!("refused: {:?}", error.kind()),
    }
}

fn verdict(result: Result<(), ErrorCode>) -> String {
    match result {
        Ok(()) => "reached".into(),
        Err(error) => format!("refused: {}", error.name()),
    }
}

fn connect_tcp(port: u16) -> Result<(), ErrorCode> {
    let socket = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4)?;
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port,
        address: LOOPBACK,
    });
    socket.start_connect(&instance_network(), address)?;
    loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result.map(|_| ()),
        }
    }
}

fn bind_udp() -> Result<(), ErrorCode> {
    let socket = udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4)?;
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 0,
        address: LOOPBACK,
    });
    socket.start_bind(&instance_network(), address)?;
    loop {
        match socket.finish_bind() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}

fn look_up() -> Result<(), ErrorCode> {
    let stream = ip_name_lookup::resolve_addresses(&instance_network(), "localhost")?;
    loop {
        match stream.resolve_next_address() {
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            result => return result.map(|_| ()),
        }
    }
}

fn request_http(port: u16) -> String {
    let request = OutgoingRequest::new(Fields::new());
    let prepared = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(&format!("127.0.0.1:{port}"))))
        .and_then(|()| request.set_path_with_query(Some("/")));
    if prepared.is_err() {
        return "refused: the request is not valid".into();
    }
    let future = match outgoing_handler::handle(request, None) {
        Ok(future) => future,
        Err(error) => return format!("refused: {error:?}"),
    };
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => format!("reached, status {}", response.status()),
        Some(Ok(Err(error))) => format!("refused: {error:?}"),
        _ => "refused: no answer".into(),
    }
}
