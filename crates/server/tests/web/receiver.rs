//! Somebody outside who is called: HTTP by hand, answering by a list.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One call, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Called {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str()).unwrap()
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver.
pub(crate) struct Receiver {
    pub url: String,
    calls: watch::Receiver<Vec<Called>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Receiver {
    /// One that answers so, call by call, and 204 afterwards.
    pub(crate) async fn answering(answers: &[&'static str]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tell, calls) = watch::channel(Vec::new());
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let (tell, next) = (Arc::new(tell), answers.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tell.clone(), next.clone()));
            }
        });
        Receiver { url, calls, answers }
    }

    /// What it answers next, after what it was told before.
    pub(crate) fn answers(&self, answer: &'static str) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// The calls, once there are as many.
    pub(crate) async fn calls(&self, count: usize) -> Vec<Called> {
        let mut calls = self.calls.clone();
        let wait = calls.wait_for(|calls| calls.len() >= count);
        let there = tokio::time::timeout(std::time::Duration::from_secs(30), wait).await;
        there.unwrap_or_else(|_| panic!("it was not called {count} times: {:?}", self.calls.borrow())).unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, tell: Arc<watch::Sender<Vec<Called>>>, next: Arc<Mutex<VecDeque<&'static str>>>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            let headers: Vec<_> = pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
            let called = Called { headers, body: body.to_owned() };
            if body.len() == called.header("content-length").parse::<usize>().unwrap() {
                let answer = next.lock().unwrap().pop_front().unwrap_or("204 No Content\r\n");
                tell.send_modify(|calls| calls.push(called));
                let answer = format!("HTTP/1.1 {answer}connection: close\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                return;
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&more[..read]),
            _ => return,
        }
    }
}
