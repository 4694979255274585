"""Programs under measurement: built, started, watched and stopped, each by its own pid."""
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


# `finally` stops what was started; without this, a SIGTERM would leave it running.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def cargo_build(here, *what):
    """Builds as for a release; what cargo says of it, a dictionary a line."""
    cargo = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics", *what]
    done = subprocess.run(cargo, cwd=here, check=True, stdout=subprocess.PIPE, text=True)
    return map(json.loads, done.stdout.splitlines())


def build(here):
    """The server as it is shipped and the rig, and Envoy's message definitions for ghz."""
    say("building (the first time takes minutes)")
    built = {}
    for package in ("doorward", "rig"):
        for line in cargo_build(here, "--package", package, "--bin", package):
            if line.get("executable") and line["target"]["name"] == package:
                built[package] = line["executable"]
            if line["reason"] == "build-script-executed":
                definitions = Path(line["out_dir"]) / "envoy.service.auth.v3.bin"
                if definitions.exists():
                    built["protoset"] = definitions
    return built


def build_module(here):
    """The module for Envoy, as `make module` builds it."""
    for line in cargo_build(here, "--package", "doorward-envoy"):
        if line["reason"] == "compiler-artifact" and line["target"]["name"] == "doorward_envoy":
            for path in map(Path, line["filenames"]):
                if path.suffix == ".so":
                    return path
    raise SystemExit("bench: cargo has built no module")


def fetch(here, tool):
    """The path of a tool, as scripts/fetch has it."""
    done = subprocess.run([here / "scripts" / "fetch", tool], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def cpu_seconds(pid):
    """User and system time of a process, all threads, those that have ended included."""
    try:
        # clock_getcpuclockid(3): nanoseconds where /proc has ticks of 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A server that we started; stopped by us, whatever happens."""

    def __init__(self, command, log, stdout=subprocess.PIPE):
        self.started = time.monotonic()
        self.log = log
        self.child = subprocess.Popen([str(word) for word in command], stdout=stdout,
                                      stderr=open(log, "w"), text=True)
        self.pid = self.child.pid
        self.admin = None

    def first_line(self):
        return self.child.stdout.readline().strip()

    def peak_mb(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

    def cache_counters(self):
        found = self.metrics()
        return tuple(found.get(f"doorward_token_cache_{name}_total", 0) for name in ("hits", "misses"))

    def hit_rate(self, before):
        hits, misses = (now - then for now, then in zip(self.cache_counters(), before))
        return hits / (hits + misses) if hits + misses else None

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def free_port():
    import socket
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Config(type(Path())):
    """The path of a configuration file, with the addresses that stand in it."""


def doorward_config(work, kind, unix, name="doorward", console=True):
    """Writes a configuration; the key sets stand in it, so no issuer is asked. Servers that run
    side by side have a `name` each.

    `kind`: one (worker), two (workers), forgetful (a cache so small that every token is
    new), issuers-N, keys-1000, keys-1000-forgetful, one-asked and forgetful-asked (beside issuers
    that are asked about their tokens), policy-PROVIDER (see policy_settings).
    """
    issuer = "https://idp.example/realms/research"
    jwks = json.loads((work / ("jwks-1000.json" if "keys-1000" in kind else "jwks.json")).read_text())
    names = [issuer]
    if kind.startswith("issuers-"):
        names = [f"https://idp-{n}.example/realms/research" for n in range(int(kind.split("-")[1]))]
    grpc = f"unix:{work}/{name}.sock" if unix else f"127.0.0.1:{free_port()}"
    admin = f"127.0.0.1:{free_port()}"
    config = {
        "auth": {"issuers": [{"issuer": name, "audience": "nmp", "jwks": jwks} for name in names]},
        "server": {
            "grpc": {"listen": grpc}, "http": {"listen": f"127.0.0.1:{free_port()}"},
            "admin": {"listen": admin}, "workers": 2 if kind == "two" else 1,
            "console": {"enabled": console, "listen": f"127.0.0.1:{free_port()}"},
        },
    }
    if "asked" in kind:
        # No token of the measurement is asked about.
        config["auth"]["issuers"].append({
            "issuer": "https://asked.example", "audience": "nmp", "jwks": jwks, "opaque": True,
            "introspection": {"endpoint": "https://127.0.0.1:9/", "client_id": "bench"}})
    if kind.startswith("policy-"):
        config["policy"] = policy_settings(work, kind.removeprefix("policy-"))
    if "forgetful" in kind:
        config["cache"] = {"max_entries": 16}
    path = Config(work / f"{name}-{kind.split(':')[0]}{'-unix' if unix else ''}.json")
    path.write_text(json.dumps(config))
    path.grpc, path.admin = grpc, admin
    return path


ENDPOINTS, ROLES, BINDINGS = 1000, 200, 10_000


def policy_data():
    """NeMo Platform's data with so many endpoints, roles and bindings. The requests of the
    measurement are for workspace `chat`, where one of their ten groups has a role."""
    endpoints = {f"/apis/service-{n % 50}/v2/workspaces/{{workspace}}/things-{n}/{{name}}": {
        "get": {"permissions": [f"things-{n}.read"], "scopes": [f"service-{n % 50}:read"]},
        "put": {"permissions": [f"things-{n}.write"], "scopes": [f"service-{n % 50}:write"]},
    } for n in range(ENDPOINTS - 1)}
    endpoints["/apis/inference/v1/{workspace}/{name}"] = {
        "post": {"permissions": ["things-3.read", "things-4.read"],
                 "scopes": ["models:write", "platform:write"]}}
    roles = {f"role-{n}": {"permissions": [f"things-{n + m}.{verb}" for m in range(5)
                                           for verb in ("read", "write")],
                           "includes": [f"role-{n - 1}"] if n % 5 else []} for n in range(ROLES)}
    principals = {f"principal-{n}": {"workspaces": {f"workspace-{n % 100}": [f"role-{n % ROLES}"]}}
                  for n in range(BINDINGS - 1)}
    principals["team-0007-research-europe"] = {"workspaces": {"chat": ["role-4"]}}
    config = {"denied_plugin_prefixes": ["/apis/closed"],
              "platform_admin_exempt_from_service_only": False}
    return {"authz": {"endpoints": endpoints, "roles": roles, "principals": principals,
                      "config": config}}


def policy_settings(work, provider):
    """The same policy by each provider: roles, embedded, or opa:ADDRESS of an OPA that has it."""
    data, rego = policy_files(work)
    if provider.startswith("opa:"):
        url = "http://" + provider.removeprefix("opa:")
        return {"provider": "opa", "timeout": "1s", "opa": {"url": url}}
    if provider == "roles":
        return {"provider": "roles", "files": [str(data)]}
    return {"provider": "embedded", "timeout": "1s", "files": [str(data), str(rego)]}


def policy_files(work):
    """NeMo Platform's data, and a policy for it in Rego."""
    data = work / "data.json"
    if not data.exists():
        data.write_text(json.dumps(policy_data()))
    return data, Path(__file__).resolve().parent.parent / "tests/policies/nemo/authz.rego"


def ready_in(process, config):
    """Seconds from the start of the process to the first 200 of /health/ready."""
    while time.monotonic() < process.started + 20:
        try:
            with urllib.request.urlopen(f"http://{config.admin}/health/ready", timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - process.started
        except OSError:
            pass
        if process.child.poll() is not None:
            raise SystemExit(f"bench: doorward has ended:\n{Path(process.log).read_text()}")
        time.sleep(0.001)
    raise SystemExit("bench: doorward is not ready after 20 s")
