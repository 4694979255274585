# Who may do what, by NeMo Platform's data: endpoints ask for permissions and scopes, roles hold
# permissions, principals have roles in workspaces.
package authz

default allow := {"allowed": false}

allow := {"allowed": true, "headers": {"X-NMP-Authorized": "true"}} if {
	not closed
	not endpoint.deny
	caller_is_meant
	may
}

# Who administers the platform may do all, whatever the scopes.
may if is_platform_admin

may if {
	permitted
	scoped
}

# The most specific pattern that has the path and the method.
segments := split(trim_suffix(trim_prefix(input.path, "/"), "/"), "/")

method := "get" if upper(input.method) == "HEAD"

else := lower(input.method)

candidates contains [placeholders, written] if {
	some written, methods in data.authz.endpoints
	methods[method]
	wanted := split(trim_prefix(written, "/"), "/")
	fits(wanted)
	placeholders := count([part | some part in wanted; startswith(part, "{")])
}

fits(wanted) if {
	not is_open(wanted)
	count(wanted) == count(segments)
	every at, part in wanted {
		fits_part(part, segments[at])
	}
}

fits(wanted) if {
	is_open(wanted)
	fixed := array.slice(wanted, 0, count(wanted) - 1)
	count(segments) >= count(wanted)
	every at, part in fixed {
		fits_part(part, segments[at])
	}
}

# `/-/{path}` stands for any segments.
is_open(wanted) if {
	wanted[count(wanted) - 2] == "-"
	startswith(wanted[count(wanted) - 1], "{")
}

fits_part(part, found) if part == found

fits_part(part, found) if {
	startswith(part, "{")
	found != ""
}

pattern := min(candidates)[1]

endpoint := data.authz.endpoints[pattern][method]

named contains segments[at] if {
	some at, part in split(trim_prefix(pattern, "/"), "/")
	part == "{workspace}"
}

workspace := max(named) if count(named) > 0

else := "system"

# Whose roles count.
applicable contains name if name := input.principal_id

applicable contains name if name := input.principal_email

applicable contains name if {
	input.principal_id
	some name in input.principal_groups
}

applicable contains "*" if input.principal_id

is_service if startswith(input.principal_id, "service:")

includes[name] := object.get(role, "includes", []) if some name, role in data.authz.roles

roles_in(principal, where) := graph.reachable(includes, bound) if {
	bound := {role |
		some role in object.get(data.authz.principals, [principal, "workspaces", where], [])
	}
}

default_roles := graph.reachable(includes, {"ServiceSystem"})

# What everybody has, everybody has.
roles_of(principal) := union({bound |
	some name in {principal, "*"}
	some where in {workspace, "*"}
	bound := roles_in(name, where)
}) | of_service(principal)

of_service(principal) := default_roles if {
	startswith(principal, "service:")
	not data.authz.principals[principal]
} else := set()

is_platform_admin if {
	some principal in applicable
	"PlatformAdmin" in data.authz.principals[principal].workspaces.system
}

# One principal has to hold all that is asked for.
permitted if {
	object.get(endpoint, "permissions", []) == []
	input.principal_id
}

permitted if {
	some principal in applicable
	held := {permission |
		some role in roles_of(principal)
		some permission in object.get(data.authz.roles[role], "permissions", [])
	}
	every permission in endpoint.permissions {
		permission in held
	}
}

# Scopes are looked at only of tokens that have one of the platform's.
platform_scopes := {scope | some scope in input.scopes; contains(scope, ":")}

scoped if count(platform_scopes) == 0

scoped if object.get(endpoint, "scopes", []) == []

scoped if {
	some scope in endpoint.scopes
	scope in platform_scopes
}

caller_is_meant if not endpoint.callers

caller_is_meant if {
	"principal" in endpoint.callers
	not is_service
}

caller_is_meant if {
	"service_principal" in endpoint.callers
	is_service
}

caller_is_meant if {
	"service_principal" in endpoint.callers
	data.authz.config.platform_admin_exempt_from_service_only
	is_platform_admin
}

closed if {
	some prefix in data.authz.config.denied_plugin_prefixes
	startswith(concat("/", array.concat([""], segments)), prefix)
}
