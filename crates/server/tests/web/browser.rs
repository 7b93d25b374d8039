//! A person at the console: a cookie, forms as a browser sends them, tokens read from the page.

use serde_json::json;

use crate::http::{Reply, form};
use crate::stage::Stage;

/// Somebody who is signed in.
pub(crate) struct Browser<'a> {
    stage: &'a Stage,
    pub cookie: String,
}

/// A one-time code for a person.
pub(crate) async fn code(stage: &Stage, person: &str) -> String {
    let login = stage.post("/api/logins", json!({ "person": person })).await.ok();
    login["url"].as_str().unwrap().split_once("code=").unwrap().1.to_owned()
}

/// What the server says to a code.
pub(crate) async fn use_code(stage: &Stage, code: &str, origin: &str) -> Reply {
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin)];
    stage.ask("POST", "/login", &headers, &form(&[("code", code)])).await
}

impl<'a> Browser<'a> {
    /// Signs in by a one-time code.
    pub(crate) async fn sign_in(stage: &'a Stage, person: &str) -> Browser<'a> {
        let code = code(stage, person).await;
        let reply = use_code(stage, &code, &origin(stage)).await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{reply:?}");
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Browser { stage, cookie }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.stage.ask("GET", path, &[("cookie", &self.cookie)], "").await
    }

    /// Opens a page that is there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.page().to_owned()
    }

    /// The token of this console session's forms.
    pub(crate) async fn token(&self) -> String {
        let page = self.page("/").await;
        page.split_once("name=\"csrf\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
    }

    /// Sends a form of our own page.
    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token().await;
        let fields = [&[("csrf", token.as_str())], fields].concat();
        self.send_from(path, &fields, &[("origin", &origin(self.stage))]).await
    }

    /// Sends a form with exactly these fields, and these headers beside the cookie.
    pub(crate) async fn send_from(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let own = [("cookie", self.cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        self.stage.ask("POST", path, &[&own, headers].concat(), &form(fields)).await
    }
}

/// The origin of our own pages.
pub(crate) fn origin(stage: &Stage) -> String {
    format!("http://{}", stage.host)
}
