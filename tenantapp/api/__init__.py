"""How does the API read requests and write answers?

A domain declares its views with ``api_view``. With ``config.add_problem`` it gives each of its errors a status and a
code.
"""

from pyramid import tweens
from pyramid.config import Configurator
from pyramid.viewderivers import INGRESS
from sqlalchemy.exc import IntegrityError, TimeoutError
from sqlalchemy.orm.exc import StaleDataError

from tenantapp.api.failure_log import FailureLog
from tenantapp.api.idempotency import idempotent_view
from tenantapp.api.json import json_renderer
from tenantapp.api.problems import OUTCOME_UNKNOWN, Problems, add_problem
from tenantapp.api.views import TriedFirst, bounded_body_view, checked_request_view, exact_path_view, part_view
from tenantapp.identity import errors as identity
from tenantapp.identity.policy import TenantMismatch
from tenantapp.sql import errors as sql
from tenantapp.tenancy import errors as tenancy
from tenantapp.tenancy.named_tenants import PREFIX as PREFIX

ORIGINS = "tenantapp.api.origins.origins_tween"
BATCH = "batch"
TOOLBAR = "pyramid_debugtoolbar.toolbar_tween_factory"


def includeme(config: Configurator) -> None:
    """Add the renderer, the view derivers, the error views, the table of problems, and the log of failed requests."""
    config.registry.problems = Problems()
    config.registry.tags, config.registry.tag_extensions = {}, {}
    config.registry.failure_log = FailureLog()
    config.add_directive("add_problem", add_problem)
    config.add_renderer("json", json_renderer)
    config.add_view_predicate("tried_first", TriedFirst)
    config.add_view_deriver(exact_path_view, under=INGRESS, name="exact_path")
    config.add_view_deriver(part_view, under="exact_path", over="bounded_body", name="part")
    config.add_view_deriver(bounded_body_view, under="exact_path", over="secured_view", name="bounded_body")
    config.add_view_deriver(checked_request_view, under="fresh", name="checked_request")
    config.add_view_deriver(idempotent_view, under="checked_request", name="idempotent")
    _add_problems(config)
    config.include("tenantapp.api.openapi")
    config.registry.tags[BATCH] = "Several requests at once: all of them are carried out, or none."
    config.add_route(BATCH, f"{PREFIX}/batch")
    config.scan("tenantapp.api.batch")
    config.scan("tenantapp.api.error_views")
    # Outside all that may answer, errors of the address included.
    config.add_tween(ORIGINS, under=tweens.INGRESS, over=("tenantapp.api.address.address_tween", tweens.EXCVIEW))
    # Outside the debug toolbar, if it is included: that fails on a path that is not UTF-8, and serves every host.
    config.add_tween("tenantapp.api.address.address_tween", under=tweens.INGRESS, over=(TOOLBAR, tweens.EXCVIEW))


def _add_problems(config: Configurator) -> None:
    """Map the errors of the rooms below to status and code."""
    config.add_problem(tenancy.NoAccess, 401, "not_signed_in")
    config.add_problem(tenancy.TenantRequired, 409, "tenant_required")
    config.add_problem(tenancy.TenantForbidden, 403, "tenant_forbidden")
    config.add_problem(tenancy.TenantSuspended, 403, "tenant_suspended", members=("reason",))
    config.add_problem(tenancy.TenantMigrating, 503, "tenant_migrating")
    config.add_problem(tenancy.SecondFactorRequired, 403, "second_factor_required")
    config.add_problem(tenancy.SingleSignOnRequired, 403, "single_sign_on_required", members=("start",))
    config.add_problem(tenancy.OwnSignInRequired, 403, "own_sign_in_required")
    config.add_problem(tenancy.TenantOutdated, 503, "tenant_outdated")
    config.add_problem(tenancy.TokenNotAllowed, 403, "token_not_allowed")
    config.add_problem(tenancy.NotWhileImpersonating, 403, "not_while_impersonating")
    config.add_problem(tenancy.ImpersonationReadOnly, 403, "impersonation_read_only")
    config.add_problem(tenancy.ChangesGone, 410, "changes_gone")
    config.add_problem(tenancy.KeyInUse, 409, "idempotency_running")
    config.add_problem(tenancy.KeyReused, 422, "idempotency_mismatch")
    config.add_problem(sql.TransactionConflict, 409, "conflict")
    config.add_problem(sql.ConnectionsSpent, 503, "busy")
    config.add_problem(sql.DatabaseSlow, 503, "busy")
    config.add_problem(sql.OutcomeUnknown, 503, OUTCOME_UNKNOWN)
    config.add_problem(tenancy.UserDatabaseUnavailable, 503, "service_unavailable")
    config.add_problem(tenancy.TenantDatabaseUnavailable, 503, "tenant_unavailable")
    config.add_problem(TenantMismatch, 400, "tenant_mismatch")
    config.add_problem(identity.InvalidValue, 422, "invalid", pointer="field")
    config.add_problem(identity.NotFound, 404, "not_found")
    config.add_problem(identity.AlreadyExists, 409, "already_exists")
    config.add_problem(identity.LastAdmin, 409, "last_admin")
    config.add_problem(identity.BeyondRights, 403, "beyond_your_rights")
    config.add_problem(identity.TooManyTokens, 409, "too_many_tokens")
    config.add_problem(identity.TooManyServiceAccounts, 409, "too_many_service_accounts")
    config.add_problem(identity.InvalidToken, 401, "invalid_token")
    config.add_problem(identity.InvalidCredentials, 401, "invalid_credentials")
    config.add_problem(identity.ReauthenticationRequired, 403, "reauthentication_required")
    config.add_problem(identity.SessionEnded, 401, "not_signed_in")
    config.add_problem(identity.OperatorRequired, 403, "operator_required")
    config.add_problem(identity.PermissionMissing, 403, "permission_denied")
    config.add_problem(identity.ImpersonationForbidden, 403, "impersonation_forbidden")
    config.add_problem(identity.ImpersonationRefused, 409, "impersonation_refused")
    config.add_problem(identity.RegistrationClosed, 403, "registration_closed")
    config.add_problem(identity.TooManySignIns, 503, "busy")
    config.add_problem(identity.CrossSiteRequest, 403, "csrf_failed")
    # Errors of SQLAlchemy that mean a conflict with another request.
    config.add_problem(IntegrityError, 409, "conflict", detail="The change conflicts with existing data.")
    config.add_problem(StaleDataError, 409, "conflict", detail="Somebody else changed the same data. Read it again.")
    config.add_problem(TimeoutError, 503, "busy", detail="All connections are in use. Try again in a moment.")
