"""Builds the Dockerfile and runs the image, with Docker or with buildah and runc.

Both run it as a careful host would: any user, no network, no capabilities, nothing writable but
/tmp and what is mounted so.
"""

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKER_BASE = "python:3.11-slim"
DEBIAN_BASE = "localhost/meatus-base:bookworm"
DEBIAN_PACKAGES = "python3.11,python3-venv,python3-pip,ca-certificates"
# How a build behind a company's proxy finds its packages, where the base is not from a registry.
HOST_SETTINGS = ("/etc/pip.conf", "/etc/ssl/certs")
# Builds where no container may be started inside another.
ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot"}


class UnavailableError(Exception):
    """No engine works here, or no base image can be had; the text says why."""


@dataclass(frozen=True)
class Job:
    """One container run: what is mounted where, as whom."""

    arguments: tuple[str, ...] = ()  # none: the image's own command
    readable: dict[Path, str] = field(default_factory=dict)
    writable: dict[Path, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    user: str | None = None  # "uid:gid"; none: the image's own
    entrypoint: str | None = None  # none: the image's own


def call(*command, **options):
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT,
        **options,
    )


def need(*command):
    """The command's output; its last words where it fails."""
    done = call(*command)
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{words}")
    return done.stdout.strip()


class Docker:
    name = "docker"

    def base(self):
        known = call("docker", "image", "inspect", DOCKER_BASE).returncode == 0
        if not known and (done := call("docker", "pull", DOCKER_BASE)).returncode:
            raise UnavailableError(f"{DOCKER_BASE} cannot be pulled: {done.stderr.strip()}")
        return DOCKER_BASE

    def build(self, target, base):
        tag = f"meatus-test:{target}"
        need("docker", "build", "--target", target, "--build-arg", f"BASE={base}", "-t", tag, ROOT)
        return tag

    def run(self, image, job):
        """What `docker run` gave."""
        options = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp"]
        options += ["--cap-drop", "all", "--security-opt", "no-new-privileges"]
        options += [f"--volume={host}:{inside}:ro" for host, inside in job.readable.items()]
        options += [f"--volume={host}:{inside}" for host, inside in job.writable.items()]
        options += [f"--env={name}={value}" for name, value in job.variables.items()]
        options += ["--user", job.user] if job.user else []
        options += ["--entrypoint", job.entrypoint] if job.entrypoint else []
        return call("docker", "run", *options, image, *job.arguments)

    def settings(self, image):
        """The image's configuration in the words of the OCI."""
        return json.loads(need("docker", "image", "inspect", image))[0]["Config"]

    @contextmanager
    def files(self, image):
        """A folder with all that is in the image."""
        container = need("docker", "create", image)
        with tempfile.TemporaryDirectory() as folder:
            try:
                (Path(folder) / "usr" / "share").mkdir(parents=True)
                need("docker", "cp", f"{container}:/opt", folder)
                need("docker", "cp", f"{container}:/usr/share/meatus", f"{folder}/usr/share/")
                yield Path(folder)
            finally:
                need("docker", "rm", container)

    def remove(self, image):
        need("docker", "image", "rm", image)


class Buildah:
    name = "buildah and runc"

    def base(self):
        """Debian's packages, put together once: no registry is asked."""
        if call("buildah", "inspect", "--type", "image", DEBIAN_BASE).returncode == 0:
            return DEBIAN_BASE
        with tempfile.TemporaryDirectory() as folder:
            packages = f"--include={DEBIAN_PACKAGES}"
            done = call("debootstrap", "--variant=minbase", packages, "bookworm", folder)
            if done.returncode:
                last = done.stdout.splitlines()[-1:]
                raise UnavailableError(f"debootstrap cannot make a base image: {last}")
            for waste in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(Path(folder) / waste)
            Path(folder).chmod(0o755)  # it becomes the image's root folder
            container = need("buildah", "from", "scratch")
            need("buildah", "add", container, folder, "/")
            path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            need("buildah", "config", "--env", path, container)
            need("buildah", "commit", "--rm", container, DEBIAN_BASE)
        return DEBIAN_BASE

    def build(self, target, base):
        tag = f"localhost/meatus-test:{target}"
        mounts = [f"--volume={path}:{path}:ro" for path in HOST_SETTINGS if Path(path).exists()]
        options = ["--target", target, "--build-arg", f"BASE={base}", *mounts]
        need("buildah", "bud", *options, "-t", tag, ROOT)
        return tag

    def run(self, image, job):
        with self.files(image) as folder, tempfile.TemporaryDirectory() as bundle:
            settings = runtime_settings(self.settings(image), job, folder)
            (Path(bundle) / "config.json").write_text(json.dumps(settings))
            name = f"meatus-{uuid.uuid4().hex}"
            return call("runc", "run", "-b", bundle, name)

    def settings(self, image):
        return json.loads(need("buildah", "inspect", "--type", "image", image))["OCIv1"]["config"]

    @contextmanager
    def files(self, image):
        container = need("buildah", "from", "--pull-never", image)
        try:
            yield Path(need("buildah", "mount", container))
        finally:
            need("buildah", "rm", container)

    def remove(self, image):
        need("buildah", "rmi", image)


def choose_engine():
    """Docker where its daemon answers, else buildah with what it needs."""
    if shutil.which("docker") and call("docker", "info").returncode == 0:
        return Docker()
    missing = [tool for tool in ("buildah", "runc", "debootstrap") if not shutil.which(tool)]
    if missing:
        raise UnavailableError(
            f"no Docker daemon answers, and {', '.join(missing)} cannot be found; "
            "start Docker, or install the Debian packages buildah, runc and debootstrap"
        )
    if os.geteuid() != 0:
        raise UnavailableError("no Docker daemon answers, and buildah with runc needs root here")
    return Buildah()


def runtime_settings(image, job, folder):
    """runc's configuration for what `docker run` with its strictest options does."""
    user, _, group = (job.user or image["User"]).partition(":")
    variables = dict(entry.split("=", 1) for entry in image["Env"]) | job.variables
    start = [job.entrypoint] if job.entrypoint else image["Entrypoint"]
    spaces = ("pid", "network", "ipc", "uts", "mount")
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": int(user), "gid": int(group)},
            "args": [*start, *(job.arguments or image["Cmd"])],
            "env": [f"{name}={value}" for name, value in variables.items()],
            "cwd": image["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": str(folder), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            _tmpfs("/dev", "mode=755", "nosuid"),
            _tmpfs("/dev/shm", "mode=1777", "nosuid", "nodev", "noexec"),
            _tmpfs("/tmp", "mode=1777", "nosuid", "nodev", "noexec"),
            *(_bind(host, inside, "ro") for host, inside in job.readable.items()),
            *(_bind(host, inside, "rw") for host, inside in job.writable.items()),
        ],
        "linux": {"namespaces": [{"type": space} for space in spaces]},
    }


def _tmpfs(inside, *options):
    return {"destination": inside, "type": "tmpfs", "source": "tmpfs", "options": list(options)}


def _bind(host, inside, access):
    options = ["rbind", access, "nosuid", "nodev"]
    return {"destination": inside, "type": "bind", "source": str(host), "options": options}
