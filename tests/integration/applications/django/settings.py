# SPDX-License-Identifier: MIT
import os

SERVER = {"ENGINE": "django.db.backends.postgresql", "USER": "postgres", "HOST": os.environ["APP_HOST"],
          "PORT": os.environ["APP_PORT"]}
DATABASES = {"default": {**SERVER, "NAME": "platform"}, "tenant": {**SERVER, "NAME": "tenant1"}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "books"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "x"
