"""Every HTTP path of the control plane, by owner.

Law: paths are declared where they are answered; this file only mounts them. Order decides where two match.
"""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from registry import urls as registry_urls
from supervisor import urls as supervisor_urls
from swormweb import pages

#: What a browser is shown when a request fails.
handler500 = "swormweb.views.failed"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include(supervisor_urls.urlpatterns)),
    path("api/v1/", include(registry_urls.urlpatterns)),
    path("", include(registry_urls.outside)),
    path("", include(pages.urlpatterns)),
]
