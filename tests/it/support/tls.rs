//! A server's certificate, and a client that trusts it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::support::send;

/// A certificate of `localhost` and its key.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Identity {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        }
    }

    /// Another one, also self-signed.
    pub fn of(params: &rcgen::CertificateParams) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Writes both files to the paths in these tests' configuration.
    pub fn write(&self, dir: &Path) {
        std::fs::write(dir.join("server.pem"), &self.certificate_pem).unwrap();
        std::fs::write(dir.join("server.key"), &self.key_pem).unwrap();
    }

    /// A client that trusts this certificate and no other.
    pub fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// A connection after its handshake, or why that failed.
pub fn secure(
    address: SocketAddr,
    identity: &Identity,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    secure_with(address, identity.client(rustls::ALL_VERSIONS, &[]))
}

/// The same with other client settings.
pub fn secure_with(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    handshake(send(address, b""), config)
}

/// The same with bytes before the handshake.
pub fn secure_after(
    address: SocketAddr,
    identity: &Identity,
    front: &[u8],
) -> StreamOwned<ClientConnection, TcpStream> {
    handshake(
        send(address, front),
        identity.client(rustls::ALL_VERSIONS, &[]),
    )
    .unwrap()
}

fn handshake(
    mut stream: TcpStream,
    config: ClientConfig,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}
