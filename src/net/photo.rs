//! Fetching a caller's photograph: small, soon, or not at all. A call never waits for it.

use std::sync::Arc;
use std::time::Duration;

/// A photograph that takes longer comes too late to say who is calling.
const WITHIN: Duration = Duration::from_secs(3);
/// More than any avatar a platform makes.
const LARGEST: usize = 2 * 1024 * 1024;

/// Fetches photographs.
#[derive(Debug, Clone)]
pub struct Photos {
    client: reqwest::Client,
}

impl Photos {
    /// With the daemon's trust. Redirects are not followed: the line has judged the address it gives, not another.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Result<Photos, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WITHIN)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build();
        client.map(|client| Photos { client }).map_err(|e| format!("photographs cannot be fetched: {e}"))
    }

    /// The bytes of a JPEG or PNG.
    ///
    /// # Errors
    /// One line, without the address: it may hold a signature.
    pub async fn fetch(&self, address: &str) -> Result<Vec<u8>, String> {
        let words = |e: reqwest::Error| e.without_url().to_string();
        let mut answer = self.client.get(address).send().await.map_err(words)?;
        if !answer.status().is_success() {
            return Err(format!("the server answers {}", answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(words)? {
            if bytes.len() + part.len() > LARGEST {
                return Err(format!("it is larger than {} KiB", LARGEST / 1024));
            }
            bytes.extend_from_slice(&part);
        }
        match &bytes[..] {
            [0xff, 0xd8, 0xff, ..] | [0x89, b'P', b'N', b'G', ..] => Ok(bytes),
            _ => Err("it is neither JPEG nor PNG".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn fetch(answer: Vec<u8>) -> Result<Vec<u8>, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/a.png?signature=secret", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            // The client may have heard enough before the end.
            let _ = stream.write_all(&answer).await;
        });
        Photos::new(crate::net::tls::client(None).unwrap()).unwrap().fetch(&address).await
    }

    #[tokio::test]
    async fn takes_pictures_and_nothing_else() {
        let with = |head: &str, body: &[u8]| [format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat();
        assert_eq!(fetch(with("200 OK", b"\x89PNG\r\n")).await.unwrap(), b"\x89PNG\r\n");
        assert_eq!(fetch(with("200 OK", b"\xff\xd8\xff\xe0")).await.unwrap(), b"\xff\xd8\xff\xe0");
        assert!(fetch(with("200 OK", b"<html>")).await.unwrap_err().contains("neither JPEG nor PNG"));
        assert!(fetch(with("404 Not Found", b"")).await.unwrap_err().contains("404"));
        assert!(fetch(with("302 Found\r\nLocation: http://127.0.0.1:1/", b"")).await.unwrap_err().contains("302"));
        assert!(fetch(with("200 OK", &vec![0xff; LARGEST + 1])).await.unwrap_err().contains("larger"));
        let broken = fetch(b"nonsense\r\n\r\n".to_vec()).await.unwrap_err();
        assert!(!broken.contains("secret"), "{broken}");
    }
}
