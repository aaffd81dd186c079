"""Backups where Parley is deployed: the job of Kubernetes and the container of compose can reach NATS and do their work."""

from services.registry import REGISTRY
from tests.support.manifests import (
    K8S,
    backup_container,
    backup_job,
    compose,
    documents,
    example_secrets,
    fresh_secrets,
    interpolated,
    of_kind,
)

(OPERATOR,) = REGISTRY.operators


def test_the_job_is_let_in() -> None:
    """NATS' policy lets its pods in, and its own lets them out to NATS; the address is that of the Service."""
    template = backup_job()["spec"]["jobTemplate"]["spec"]["template"]
    name = template["metadata"]["labels"]["app.kubernetes.io/name"]
    clients = of_kind("NetworkPolicy")["nats"]["spec"]["ingress"][0]
    (expression,) = clients["from"][0]["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == {*REGISTRY.names, name}
    (policy,) = (o for o in documents(K8S / "backup.example.yaml") if o["kind"] == "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    to = [rule["to"][0].get("podSelector", {}).get("matchLabels") for rule in policy["spec"]["egress"]]
    assert {"app.kubernetes.io/name": "nats"} in to
    environment = {variable["name"]: variable["value"] for variable in backup_container()["env"]}
    assert environment["PARLEY_NATS_URL"] == "nats://nats:4222"


def test_the_job_is_the_operator() -> None:
    """It gets the operator's password as a file, and nothing else; it writes where its volume is, and nowhere else."""
    environment = {variable["name"]: variable["value"] for variable in backup_container()["env"]}
    spec = backup_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount for mount in backup_container()["volumeMounts"]}
    (secret, backups) = spec["volumes"]
    (item,) = secret["projected"]["sources"][0]["secret"]["items"]
    assert (environment["PARLEY_NATS_USER"], item["key"]) == (OPERATOR, OPERATOR)
    assert OPERATOR in example_secrets()["parley-nats-passwords"]
    assert environment["PARLEY_NATS_PASSWORD_FILE"] == f"{mounts['secrets']['mountPath']}/{item['path']}"
    assert backup_container()["args"][:2] == ["take", mounts["backups"]["mountPath"]]
    (claim,) = (o for o in documents(K8S / "backup.example.yaml") if o["kind"] == "PersistentVolumeClaim")
    assert backups["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert backup_container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_compose_backs_up_when_it_is_asked() -> None:
    """It starts with nothing else, as the operator, and keeps backups outside of the volumes that `down` may delete."""
    one = compose()["services"]["backup"]
    assert one["profiles"] == ["backup"]
    environment = {name: interpolated(value, fresh_secrets()) for name, value in one["environment"].items()}
    assert environment["PARLEY_NATS_USER"] == OPERATOR
    assert environment["PARLEY_NATS_PASSWORD"] == fresh_secrets()["PARLEY_NATS_OPERATOR_PASSWORD"]
    assert environment["PARLEY_NATS_URL"] == "nats://nats:4222"
    assert [interpolated(volume, {}) for volume in one["volumes"]] == ["./backups:/backups"]
    assert one["command"] == ["take", "/backups"]
