#!/usr/bin/env bash
# Five agents that you might already have, governed without a changed line, and how long each step takes.
#
#   docs/five-agents.sh [OSTLER]     the binary; without it, the one on the PATH
#
# The agents are in tests/clients; they are run as they are. Their SDKs are installed into .tests/clients (600 MB, once),
# and their model is a script on this machine: no key, no network, nobody is billed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ostler=${1:-ostler}
here=$PWD/.tests/clients
work=$(mktemp -d)
declare -A agents=(
    [anthropic]=anthropic_agent.py [openai-chat]=openai_chat_agent.py [openai-agents]=openai_agents_agent.py
    [langchain]=langchain_agent.py [pydantic-ai]=pydantic_ai_agent.py
)
export OPENAI_AGENTS_DISABLE_TRACING=1 PYTHONDONTWRITEBYTECODE=1 OSTLER_DATA=$work/data

# step WHAT COMMAND...: runs it, and says how long it took; what it says goes into a file.
step() {
    local what=$1 began=$EPOCHREALTIME
    shift
    if ! "$@" >"$work/said" 2>"$work/err"; then
        echo "FAILED: $what"
        cat "$work/said" "$work/err"
        exit 1
    fi
    printf '%7.2f s  %s\n' "$(bc <<<"$EPOCHREALTIME - $began")" "$what"
}

finish() {
    kill "${server:-}" "${upstream:-}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

installed() {
    cmp -s tests/clients/requirements-all.txt "$here/installed" && return
    mkdir -p "$here"
    [ -x "$here/venv/bin/python" ] || python3 -m venv "$here/venv"
    "$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/clients/requirements-all.txt
    cp tests/clients/requirements-all.txt "$here/installed"
}

described() {
    for provider in anthropic openai-chat; do
        [ $provider = anthropic ] && path= || path=/v1
        cat <<YAML
---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: $provider, owner: it}
spec:
  protocol: $provider
  base_url: http://127.0.0.1:$(cat "$work/port")$path
  prices: {a-model: {input: 3, output: 15}}
YAML
    done
    for agent in "${!agents[@]}"; do
        [ "$agent" = anthropic ] && provider=anthropic || provider=openai-chat
        cat <<YAML
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: $agent, owner: finance}
spec:
  model: {provider: $provider, name: a-model, max_output_tokens: 1000}
  budgets: {usd_per_day: 5}
YAML
    done
}

up() {
    "$ostler" up --listen 127.0.0.1:0 >/dev/null 2>"$work/up.log" &
    server=$!
    until "$ostler" get >/dev/null 2>&1; do
        kill -0 $server || { cat "$work/up.log"; return 1; }
        sleep 0.02
    done
}

# Nothing of an agent changes but where its model is.
task() {
    (
        for vendor in anthropic openai; do eval "$("$ostler" onboard "$1" --$vendor --print)"; done
        "$here/venv/bin/python" "tests/clients/${agents[$1]}"
    ) >"$work/told" 2>"$work/task"
    grep -q '"answer": "Invoice 7 is 120 EUR.", "error": null' "$work/told" || { cat "$work/told" "$work/task"; return 1; }
}


step "their SDKs are here" installed
python3 tests/clients/upstream.py "$work/upstream.jsonl" < <(sleep infinity) >"$work/port" &
upstream=$!
until [ -s "$work/port" ]; do sleep 0.02; done
step "Ostler is up" up
described >"$work/agents.yaml"
step "five agents are described: an owner, a model, a budget" "$ostler" apply -f "$work/agents.yaml"
for agent in anthropic openai-chat openai-agents langchain pydantic-ai; do
    step "$agent: has its key, and does its task under it" task "$agent"
done
echo
"$ostler" ps
"$ostler" cost --by agent
