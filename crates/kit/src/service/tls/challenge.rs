//! What the authority sees when it looks whether a name is ours (TLS-ALPN-01, RFC 8737): a certificate for
//! that name that nobody else could have made, on a protocol that no browser speaks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The name of the protocol (RFC 8737, section 3).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers that are being waited for, by name.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    answers: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

/// An answer; taken back when it is dropped.
pub(super) struct Answer {
    challenges: Arc<Challenges>,
    name: String,
}

impl Challenges {
    /// Answers for a name with the digest of the key authorization, as long as what is returned lives.
    pub(super) fn answer(
        self: &Arc<Self>,
        name: &str,
        digest: &[u8],
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key)?;
        let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
        // Not `CertifiedKey::from_der`: it looks into the certificate, and refuses the critical extension that
        // is the whole point of it.
        let signer = any_supported_type(&secret.into())?;
        let certified = CertifiedKey::new(vec![certificate.der().clone()], signer);
        let name = name.to_ascii_lowercase();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(name.clone(), Arc::new(certified));
        Ok(Answer {
            challenges: Arc::clone(self),
            name,
        })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let answers = self.challenges.answers.lock();
        let mut answers = answers.unwrap_or_else(PoisonError::into_inner);
        answers.remove(&self.name);
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(&name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::parse_x509_certificate;

    use super::*;

    #[test]
    fn an_answer_carries_the_digest_and_is_there_as_long_as_it_is_waited_for() {
        let challenges = Arc::new(Challenges::default());
        let digest = [7_u8; 32];
        let answer = challenges.answer("ENT.school.example", &digest).unwrap();
        let certified = Arc::clone(&challenges.answers.lock().unwrap()["ent.school.example"]);
        let (_, parsed) = parse_x509_certificate(&certified.cert[0]).unwrap();
        // id-pe-acmeIdentifier: RFC 8737, section 6.1.
        let identifier = parsed
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
            .unwrap();
        assert!(identifier.critical);
        assert_eq!(identifier.value[2..], digest);
        drop(answer);
        assert!(challenges.answers.lock().unwrap().is_empty());
    }
}
