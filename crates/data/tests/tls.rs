//! The line to PostgreSQL, encrypted: a server of the test's own with a certificate that it signed itself.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

#[path = "support/postgres.rs"]
mod postgres;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use data::postgres::PostgresStore;
use data::store::{Claim, Store, StoreError};
use domain::clock::SystemClock;

use postgres::{Cluster, PASSWORD_IN_URL, cluster};

/// Of a server that calls itself `localhost`, and nothing else.
const CERTIFICATE: &str = "[req]\ndistinguished_name = name\nprompt = no\nx509_extensions = server\n[name]\nCN = localhost\n\
                           [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n";

async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&url.parse().unwrap(), Arc::new(SystemClock)).await
}

/// A certificate and its key in a directory, of the user that the server runs as.
fn certificate(cluster: &Cluster, name: &str) -> PathBuf {
    let (config, file) = (cluster.home.join("req.cnf"), |end: &str| cluster.home.join(format!("{name}.{end}")));
    std::fs::write(&config, CERTIFICATE).unwrap();
    let mut made = Command::new("openssl");
    made.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]);
    made.arg("-config").arg(&config).arg("-out").arg(file("crt")).arg("-keyout").arg(file("key"));
    let made = made.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for file in [file("crt"), file("key")] {
        if let Some((uid, gid)) = cluster.run_as {
            std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
        }
    }
    file("crt")
}

/// The server shows its certificate from now on.
async fn encrypt(cluster: &Cluster, certificate: &Path) {
    let key = certificate.with_extension("key");
    for (setting, value) in [("ssl_cert_file", certificate), ("ssl_key_file", &key), ("ssl", Path::new("on"))] {
        cluster.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", value.display()));
    }
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    for _ in 0..200 {
        if cluster.sql("postgres", "SHOW ssl") == "on" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server does not encrypt");
}

/// How many lines of ours are encrypted, and how many are not.
fn lines(cluster: &Cluster) -> String {
    let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl \
               JOIN pg_stat_activity USING (pid) WHERE application_name = 'ostler'";
    cluster.sql("postgres", sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_is_encrypted_where_the_url_asks_for_it_and_the_server_proves_its_name() {
    let Some(cluster) = cluster() else { return };
    let plain = open(&cluster.database()).await.unwrap();
    plain.claim(Claim { node: "a".to_owned(), shards: None }).await.unwrap();
    assert!(lines(cluster).starts_with("0|") && lines(cluster) != "0|0", "{}", lines(cluster));
    drop(plain);
    for _ in 0..200 {
        if lines(cluster) == "0|0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = |host: &str, settings: &str| {
        format!("postgres://ostler:{PASSWORD_IN_URL}@{host}:{}/postgres?{settings}", cluster.port)
    };
    let refused = |url: String| async move {
        let error = open(&url).await.err().unwrap();
        assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
        assert!(!error.to_string().contains("p%40ss"), "{error}");
        error.to_string()
    };
    let plain = refused(url("localhost", "sslmode=require")).await;
    assert!(plain.contains("does not support TLS") && plain.contains("turn `ssl` on"), "{plain}");
    let own = certificate(cluster, "own");
    encrypt(cluster, &own).await;

    let store = open(&url("127.0.0.1", "sslmode=require")).await.unwrap();
    let claimed = store.claim(Claim { node: "a".to_owned(), shards: None }).await.unwrap();
    assert!(!claimed.leases.is_empty());
    let (encrypted, not) = lines(cluster).split_once('|').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(encrypted.parse::<u32>().unwrap() > 0 && not == "0", "{encrypted} {not}");
    drop(store);

    let roots = |file: &Path| format!("sslmode=verify-full&sslrootcert={}", file.display());
    let store = open(&url("localhost", &roots(&own))).await.unwrap();
    store.claim(Claim { node: "a".to_owned(), shards: None }).await.unwrap();
    let nobody = refused(url("localhost", "sslmode=verify-full")).await;
    assert!(nobody.contains("certificate") && nobody.contains("sslrootcert=FILE"), "{nobody}");
    let another = refused(url("127.0.0.1", &roots(&own))).await;
    assert!(another.contains("not valid for") && another.contains("as it calls itself"), "{another}");
    let forged = refused(url("localhost", &roots(&certificate(cluster, "forged")))).await;
    assert!(forged.contains("certificate"), "{forged}");
    let missing = refused(url("localhost", &roots(Path::new("/nowhere.pem")))).await;
    assert!(missing.contains("/nowhere.pem"), "{missing}");
}
