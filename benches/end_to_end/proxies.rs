//! nginx and HAProxy in the balancer's place, where the machine has them: one upstream, kept connections on both
//! sides, a worker for each core, no log of requests, as fast as they are when set up with care.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chroma_ha::dev::{Launch, Process, free_port, http_status};

use super::figures::Side;
use crate::harness::{Place, until};

const READY_IN: Duration = Duration::from_secs(10);

/// Where Debian puts servers, and others do not look.
const ALSO_IN: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

pub(crate) struct Proxy {
    pub(crate) side: Side,
    pub(crate) port: u16,
    process: Process,
}

impl Proxy {
    /// `None`: it is not installed.
    pub(crate) async fn start(side: Side, upstream: u16, place: &Place) -> Option<Self> {
        let name = side.name().to_lowercase();
        let program = installed(&name)?;
        let port = free_port().expect("a free port");
        let folder = place.join(&format!("{name}-{upstream}"));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("configuration");
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (text, args) = match side {
            Side::Nginx => {
                let file = file.to_string_lossy().into_owned();
                let prefix = folder.to_string_lossy().into_owned();
                (nginx(port, upstream, cores), vec!["-p".to_owned(), prefix, "-c".to_owned(), file])
            }
            _ => (
                haproxy(port, upstream, cores),
                vec!["-db".to_owned(), "-f".to_owned(), file.to_string_lossy().into_owned()],
            ),
        };
        fs::write(&file, text).expect("a file");
        let log = folder.join("output.log");
        let process = Launch::new(program, &log).args(args).start().expect("a proxy");
        let ready = async || http_status(port, "/api/v2/heartbeat").await == Some(200);
        until(READY_IN, &format!("{name} answers; its words are in {}", log.display()), ready).await;
        Some(Self { side, port, process })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ALSO_IN.map(PathBuf::from));
    folders.map(|folder: PathBuf| folder.join(name)).find(|program: &PathBuf| Path::is_file(program))
}

fn nginx(port: u16, upstream: u16, cores: usize) -> String {
    // Workers that may not write into a folder of root's would answer long bodies with 500.
    let user = if nix::unistd::Uid::current().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; {user} worker_processes {cores}; pid nginx.pid; error_log error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 64m; client_body_buffer_size 32m;
  keepalive_requests 1000000000;
  upstream node {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
  }}
}}
"
    )
}

fn haproxy(port: u16, upstream: u16, cores: usize) -> String {
    format!(
        "global
  nbthread {cores}
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 120s
  timeout server 120s
listen bench
  bind 127.0.0.1:{port}
  server node 127.0.0.1:{upstream}
"
    )
}
