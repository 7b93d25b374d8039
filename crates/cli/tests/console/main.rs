//! One journey of a person through the console, in a real headless Chromium with JavaScript switched off, against the
//! demo: sign in by the one-time address, see the inventory, open the session that waits, say yes in the inbox, see
//! it finished. What happened is counted in the mail tool's own file.

#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod cost;
mod demo;
mod denial;
mod webdriver;

use std::path::{Path, PathBuf};

use demo::Demo;
use webdriver::Browser;

/// What is where, from the environment.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment what it may use")]
fn told(name: &str) -> Option<PathBuf> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Says that a test cannot run here, where `scripts/test` counts it.
fn skipped(name: &str, reason: &str) {
    use std::io::Write;
    let line = format!("skipped: {name}: {reason}");
    println!("{line}");
    if let Some(file) = told("OSTLER_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// Keeps a picture of what a person sees, where somebody asked for pictures.
async fn picture(browser: &Browser, name: &str) {
    if let Some(dir) = told("OSTLER_TEST_PICTURES") {
        std::fs::write(dir.join(name), browser.screenshot().await).unwrap();
    }
}

/// The invoices that the mail tool drafted a mail for, in its own words.
fn drafted(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("drafts.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|draft| draft.to_string()).collect()
}

#[tokio::test]
async fn a_person_signs_in_looks_around_says_yes_and_sees_it_done() {
    let name = "a_person_signs_in_looks_around_says_yes_and_sees_it_done";
    let Some(chromium) = told("OSTLER_TEST_CHROMIUM") else {
        return skipped(name, "OSTLER_TEST_CHROMIUM names no Chromium");
    };
    let Some(driver) = told("OSTLER_TEST_CHROMEDRIVER") else {
        return skipped(name, "OSTLER_TEST_CHROMEDRIVER names no chromedriver");
    };
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(dir.path()).await;
    let sign_in = demo.sign_in().await;
    let browser = Browser::start(&driver, &chromium).await;

    browser.open(&sign_in).await;
    browser.click("//button[text()='Sign in']").await;
    browser.see("//h1[text()='Agents']").await;
    browser.see("//tr[td/a[text()='reconciliation-finance']]//span[text()='True']").await;
    browser.see("//tr[td/a[text()='dunning-drafts']]//span[text()='shadow: nothing is sent']").await;
    browser.see("//p[contains(., 'wait for a person')]").await;

    browser.click("//header//a[text()='Sessions']").await;
    browser.click("//a[text()='acme-october']").await;
    browser.see("//span[text()='suspended']").await;
    browser.see("//div[contains(., 'at no cost')]").await;
    // From the second reading on: why it wants to write, what it wants, and whom it waits for.
    browser.open(&format!("{}#call-3", browser.address().await)).await;
    picture(&browser, "console-session.png").await;

    assert!(!drafted(dir.path()).iter().any(|draft| draft.contains("INV-2041")), "{:?}", drafted(dir.path()));
    browser.click("//header//a[text()='Inbox']").await;
    picture(&browser, "console-inbox.png").await;
    // Two payments are above the agent's limit: each is a decision of its own.
    for invoice in ["INV-2041", "INV-2198"] {
        let article = format!("//article[.//td[text()='{invoice}']]");
        browser.see(&format!("{article}//div[@class='reasoning']")).await;
        browser.fill(&format!("({article}//input[@name='reason'])[1]"), "agrees with the invoice").await;
        browser.click(&format!("{article}//button[text()='Approve']")).await;
        browser.see("//h1[contains(., 'acme-october')]").await;
        browser.click("//header//a[text()='Inbox']").await;
    }
    browser.see("//p[contains(., 'Nothing waits for anybody')]").await;
    browser.click("//header//a[text()='Sessions']").await;
    browser.click("//a[text()='acme-october']").await;
    browser.see("//main/p/span[text()='finished']").await;
    browser.see("//div[@class='consent'][contains(., 'by ana')][contains(., 'agrees with the invoice')]").await;
    for invoice in ["INV-2041", "INV-2198"] {
        let drafts = drafted(dir.path()).into_iter().filter(|draft| draft.contains(invoice)).count();
        assert_eq!(drafts, 1, "{invoice}: {:?}", drafted(dir.path()));
    }

    browser.click("//button[text()='Sign out']").await;
    browser.see("//h1[text()='Sign in']").await;
    browser.open(&sign_in).await;
    browser.click("//button[text()='Sign in']").await;
    browser.see("//p[contains(., 'used already')]").await;
    browser.stop().await;
    demo.stop().await;
}
