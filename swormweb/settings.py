"""Django's settings, out of the checked environment.

Law: a value that could differ between two places comes from `swormweb.environ`; the rest is the same everywhere. Agents
load this module without a database and without a signing key: nothing here may need either. A bad value ends the start
with one line on stderr.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF

from swormweb import environ

BASE_DIR = Path(__file__).resolve().parent.parent

try:
    ENVIRONMENT = environ.read(os.environ)
except environ.BadSetting as error:
    sys.exit(f"sworm: {error}")

# ------------------------------------------------------------------------------------------------- Sworm's own settings

REDIS_URL = ENVIRONMENT.redis_url
SWORM_CLUSTER_KEY = ENVIRONMENT.cluster_key
SWORM_JOIN = ENVIRONMENT.join
SWORM_ALLOWED_MODULES = ENVIRONMENT.allowed_modules
SWORM_MESH_PRESET = ENVIRONMENT.mesh_preset
SWORM_QUORUM_HOSTS = ENVIRONMENT.quorum_hosts
SWORM_URL = ENVIRONMENT.url
SWORM_TOKEN = ENVIRONMENT.token
SWORM_PROXIES = ENVIRONMENT.proxies

# --------------------------------------------------------------------------------------------------------------- Django

SECRET_KEY = ENVIRONMENT.secret_key  # empty in agents: Django then refuses to sign anything
DEBUG = False
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)

INSTALLED_APPS = [
    "registry",
    "supervisor",
    "rest_framework",
    "drf_spectacular",
    "swormweb.apps.AdminOfSworm",
    "axes",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

# Static files never come this far: swormweb.asgi answers them before Django is asked.
MIDDLEWARE = [
    # Outermost: whatever is written in answer to a request says where it came from.
    "registry.whence.WhenceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    # Innermost: it sets the path that is routed, after everything that may answer before.
    "registry.api.paths.ApiMiddleware",
]

ROOT_URLCONF = "swormweb.urls"
ASGI_APPLICATION = "swormweb.asgi.application"
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# ---------------------------------------------------------------------------------------------------------------- store

DATABASES: dict[str, dict[str, Any]] = {}
if ENVIRONMENT.database is not None:
    DATABASES["default"] = ENVIRONMENT.database
    if ENVIRONMENT.database_pool:
        # Seconds to wait for a connection: nobody keeps one for long, so beyond this the server is away.
        pool = {"min_size": 1, "max_size": ENVIRONMENT.database_pool, "timeout": 3}
        DATABASES["default"]["OPTIONS"]["pool"] = pool
        # One look at each connection before it is used: those of a server that was away are dropped, not tried.
        DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {}
if REDIS_URL:
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "sworm", "capacity": 1000},
    }

# ------------------------------------------------------------------------------------------------------------- security

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/signin"
LOGIN_REDIRECT_URL = "/"

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: who tried too often is not even compared
    "django.contrib.auth.backends.ModelBackend",
]
# Guessing is slowed for each name and address together: nobody can lock out somebody who signs in from elsewhere. The
# address is what we saw, not what a header claims.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "registry.whence.throttled_address"
AXES_LOCKOUT_CALLABLE = "swormweb.access.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

SESSION_COOKIE_NAME = "sworm_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = ENVIRONMENT.https
CSRF_COOKIE_NAME = "sworm_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = ENVIRONMENT.https
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if host != "*"] if ENVIRONMENT.https else []
SECURE_SSL_REDIRECT = ENVIRONMENT.https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.https else None
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.https else 0
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024  # bytes; a batch of 10 000 registrations with arguments

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}

# ----------------------------------------------------------------------------------------------------------------- REST

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Sworm",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

# --------------------------------------------------------------------------------------------------- files, times, logs

STATIC_URL = "/static/"
STATIC_ROOT = Path(ENVIRONMENT.static_root) if ENVIRONMENT.static_root else BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "swormweb.static.HashedFiles"},
}

USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        "expected": {"()": "swormweb.logs.ExpectedRefusals"},
        "outages": {"()": "swormweb.logs.OutagesOnce"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["expected", "outages"]}},
    "root": {"handlers": ["stderr"], "level": ENVIRONMENT.log_level},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "axes": {"level": "WARNING"},  # it tells of each success
        "daphne.server": {"level": "WARNING"},  # it describes itself at each start
    },
}
