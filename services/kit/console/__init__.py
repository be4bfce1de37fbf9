"""Who works behind `/console`: accounts, their roles, how they prove who they are, and the log of what they did.

Nothing here knows HTTP; the sessions and pages are in `services.kit.web`.
"""

from services.kit.console.accounts import ROLES, Account, Role, Units, may_give, within
from services.kit.console.audit_log import AuditLog, Entry

__all__ = ["ROLES", "Account", "AuditLog", "Entry", "Role", "Units", "may_give", "within"]
