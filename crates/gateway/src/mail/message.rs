//! A mail as it goes over the wire (RFC 5322, RFC 2045): plain text and HTML, each in base64, so that no line is too
//! long and nothing in it can be taken for a header. It must not know who reads it.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::clock::Timestamp;
use lettre::Address;

use super::Mail;

/// How long a line of base64 is (RFC 2045, section 6.8).
const LINE: usize = 76;

/// The bytes of a mail.
pub(super) fn write(mail: &Mail, (from, to): (&Address, &Address), now: Timestamp) -> Vec<u8> {
    let (id, boundary) = (plain(&mail.id), format!("=_{}", plain(&mail.id)));
    let seconds = Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
    let date = httpdate::fmt_http_date(UNIX_EPOCH + seconds).replace("GMT", "+0000");
    let mut out = String::new();
    let headers = [
        ("From", format!("Ostler <{from}>")),
        ("To", format!("<{to}>")),
        ("Subject", line(&mail.subject)),
        ("Date", date),
        ("Message-ID", format!("<{id}@{}>", from.domain())),
        // Nobody's absence is to answer (RFC 3834).
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", format!("multipart/alternative; boundary=\"{boundary}\"")),
    ];
    for (name, value) in headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    for (of, text) in [("plain", &mail.text), ("html", &mail.html)] {
        let _ = write!(out, "\r\n--{boundary}\r\nContent-Type: text/{of}; charset=utf-8\r\n");
        out.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
        let body = STANDARD.encode(text.replace('\n', "\r\n"));
        for chunk in body.as_bytes().chunks(LINE) {
            out.push_str(&String::from_utf8_lossy(chunk));
            out.push_str("\r\n");
        }
    }
    let _ = write!(out, "\r\n--{boundary}--\r\n");
    out.into_bytes()
}

/// What may stand in an id: anything else is a dash.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// One line of printable ASCII, and not a long one.
fn line(text: &str) -> String {
    text.chars().take(200).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;

    use super::{LINE, Mail, write};

    #[test]
    fn a_mail_is_headers_and_two_bodies_and_nothing_gets_out_of_its_place() {
        let mail = Mail {
            id: "evt_1.ana@x\r\nBcc: y".to_owned(),
            to: "ana@example.com".to_owned(),
            subject: "pay 7 €\r\nBcc: eve@example.com".to_owned(),
            text: ".\r\nlong ".repeat(60),
            html: "<p>é</p>".to_owned(),
        };
        let (from, to) = ("ostler@example.org".parse().unwrap(), "ana@example.com".parse().unwrap());
        let bytes = write(&mail, (&from, &to), Timestamp(784_111_777_000));
        let text = String::from_utf8(bytes).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.lines().count(), 8, "{head}");
        assert!(head.contains("Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n"), "{head}");
        assert!(head.contains("Message-ID: <evt_1.ana-x--Bcc--y@example.org>"), "{head}");
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= LINE.max(120) && line != "."), "{text}");
        assert_eq!(text.matches("base64").count(), 2);
    }
}
