"""Kubernetes: kustomize renders it, its schemas accept it, and it says of ports, secrets and commands what holds.

Resources of operators (CloudNativePG, RabbitMQ, KEDA) have schemas of their own, which are not to be had here: of these
the names alone are held against what refers to them.
"""

import os
import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from tests.system.deploying import DEPLOY
from tillkeeper.cli import app
from tillkeeper.policy import load_policy
from tillkeeper.settings import load_settings

BASE = DEPLOY / "kubernetes" / "base"
OVERLAYS = sorted(path.name for path in (DEPLOY / "kubernetes" / "overlays").iterdir())
ROLES = ("ingest", "work", "sweep", "notify", "desk")
OPERATORS = {"Cluster", "RabbitmqCluster", "ScaledObject", "TriggerAuthentication"}
VERSIONS = ("1.30", "1.37")  # the oldest that is meant, and the newest that the package knows
ENVIRON = {
    "DATABASE_URL": "postgresql://tillkeeper:hunter2@tillkeeper-db-rw:5432/tillkeeper",
    "BROKER_URL": "amqp://tillkeeper:hunter2@tillkeeper-rabbitmq:5672/",
    "ENVELOPE_KEY": "0f8a7c1be5d24396a1f07b3c5e9d8246",
    "API_TOKEN": "b7c92e4f01d853a6",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_the_cluster",
    "STRIPE_API_KEY": "sk_test_of_the_cluster_91",
}

Resource = dict[str, Any]


def resources(text: str) -> list[Resource]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


FILES = {
    path: resources(path.read_text())
    for path in sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
    if path.name != "kustomization.yaml"
}
ALL = [each for found in FILES.values() for each in found]


def named(kind: str, name: str) -> Resource:
    [found] = [each for each in ALL if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(role: str) -> Resource:
    return named("Deployment", f"tillkeeper-{role}")["spec"]["template"]["spec"]


def environ_of(container: Resource) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


# --- schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY / "kubernetes")))
def test_kubernetes_accepts_each_file(path, version):
    for resource in FILES[path]:
        if resource["kind"] not in OPERATORS:
            kubernetes_validate.validate(resource, version, strict=True)


def test_what_kubernetes_would_refuse_is_seen():
    spoilt = yaml.safe_load(yaml.safe_dump(named("Deployment", "tillkeeper-work")))
    spoilt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(spoilt, VERSIONS[-1], strict=True)


@pytest.fixture(scope="module")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl is not installed; 1.21 or later renders kustomizations")
        pytest.skip("kubectl is not installed; 1.21 or later renders kustomizations")
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_is_rendered_whole(kubectl, overlay):
    directory = DEPLOY / "kubernetes" / "overlays" / overlay
    command = [kubectl, "kustomize", str(directory)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    rendered = resources(told.stdout)
    assert {each["metadata"]["namespace"] for each in rendered} == {"tillkeeper"}
    for resource in rendered:
        if resource["kind"] not in OPERATORS:
            kubernetes_validate.validate(resource, VERSIONS[-1], strict=True)
    images = {each["image"] for found in rendered for each in containers_of(found)}
    assert images == {"registry.example.com/tillkeeper:0.1.0"}
    expected = {(each["kind"], each["metadata"]["name"]) for each in ALL}
    if overlay != "all":
        expected = {(kind, name) for kind, name in expected if kind not in OPERATORS}
    found = {(each["kind"], each["metadata"]["name"]) for each in rendered}
    assert found - {("ConfigMap", "tillkeeper-config")} == expected


def containers_of(resource: Resource) -> list[Resource]:
    return resource["spec"]["template"]["spec"]["containers"] if resource["kind"] in {"Deployment", "Job"} else []


# --- what it says -----------------------------------------------------------------------------------------------------


def test_every_role_of_tillkeeper_run_is_deployed():
    code = (DEPLOY.parent / "tillkeeper" / "cli" / "run.py").read_text()
    assert set(re.findall(r'keep_running_child\(_role\("(\w+)"\)', code)) == set(ROLES)
    deployed = {each["metadata"]["name"] for each in ALL if each["kind"] == "Deployment"}
    assert deployed == {f"tillkeeper-{role}" for role in ROLES}


@pytest.mark.parametrize("role", ROLES)
def test_probes_metrics_and_policies_are_about_the_ports_that_are_set(role):
    [container] = pod_of(role)["containers"]
    section = getattr(settings(environ_of(container)), role)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert (section.metrics_host, ports["metrics"]) == ("0.0.0.0", section.metrics_port)
    assert ports.get("http") == getattr(section, "port", None)
    for probe, path in {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}.items():
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == (path, "http" if role == "ingest" else "metrics")
    annotations = named("Deployment", f"tillkeeper-{role}")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(section.metrics_port)
    [rule] = named("NetworkPolicy", "tillkeeper-metrics")["spec"]["ingress"]
    assert section.metrics_port in {each["port"] for each in rule["ports"]}
    assert named("PodDisruptionBudget", f"tillkeeper-{role}")["spec"]["maxUnavailable"] == 1


def settings(environ: dict[str, str]) -> Any:
    ours = {name: value for name, value in environ.items() if name not in {"TILLKEEPER_CONFIG", "TILLKEEPER_ENV_FILE"}}
    return load_settings(BASE / "tillkeeper.toml", ENVIRON | ours)


def test_the_configuration_holds_with_the_variables_that_the_pods_get():
    assert sorted(settings({}).accounts) == ["stripe-main"]
    assert list(settings({}).doubts()) == []
    load_policy(BASE / "policy.toml")
    for each in ALL:
        for container in containers_of(each):
            given = {entry["name"] for entry in container["env"] if "valueFrom" in entry}
            assert given == {"DATABASE_URL", "BROKER_URL"}


def test_no_secret_stands_in_it_and_each_reference_leads_somewhere():
    keys = {("tillkeeper-db-app", "uri"), ("tillkeeper-rabbitmq-default-user", "connection_string")}
    for each in ALL:
        assert each["kind"] != "Secret"
        for container in containers_of(each):
            references = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry]
            assert {(it["name"], it["key"]) for it in references} == keys
    asked = named("TriggerAuthentication", "tillkeeper-queues")["spec"]["secretTargetRef"]
    assert {(it["name"], it["key"]) for it in asked} == keys
    # The operators name their Secrets after their clusters.
    assert named("Cluster", "tillkeeper-db")["spec"]["bootstrap"]["initdb"]["owner"] == "tillkeeper"
    assert named("RabbitmqCluster", "tillkeeper-rabbitmq")


def test_pods_have_no_more_rights_than_they_need():
    for each in ALL:
        for container in containers_of(each):
            pod = each["spec"]["template"]["spec"]
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert CliRunner().invoke(app, [*container["args"], "--help"]).exit_code == 0


def test_what_changes_while_it_runs_is_mounted_as_a_folder():
    for role in ROLES:
        [container] = pod_of(role)["containers"]
        assert all("subPath" not in mount for mount in container["volumeMounts"])
        environ = environ_of(container)
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {
            environ["TILLKEEPER_CONFIG"].rpartition("/")[0],
            environ["TILLKEEPER_ENV_FILE"].rpartition("/")[0],
        } <= mounted


def test_webhooks_alone_are_public():
    [rule] = named("Ingress", "tillkeeper-webhooks")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/webhooks/"]
    outside = named("NetworkPolicy", "tillkeeper-outside")["spec"]["podSelector"]["matchExpressions"]
    assert [each["values"] for each in outside] == [["ingest", "sweep", "notify"]]
    company = named("NetworkPolicy", "tillkeeper-company")["spec"]
    assert company["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "desk"
    assert [each["ports"] for each in company["egress"]] == [[{"port": 443, "protocol": "TCP"}]]


def test_workers_are_scaled_by_the_queue_that_they_consume():
    triggers = {each["type"]: each["metadata"] for each in named("ScaledObject", "tillkeeper-work")["spec"]["triggers"]}
    assert triggers["rabbitmq"]["queueName"] == f"{settings({}).broker_prefix}.events.0"
    assert triggers["postgresql"]["query"] == "SELECT count(*) FROM spool"
