"""The routes."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter
from workspace.views import NodeViewSet

router = DefaultRouter()
router.register("nodes", NodeViewSet)
urlpatterns = [path("", include(router.urls))]
