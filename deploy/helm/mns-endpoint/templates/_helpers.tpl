{{/* The name of everything here. */}}
{{- define "mns-endpoint.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "mns-endpoint" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mns-endpoint" (.Release.Name | trunc 27 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "mns-endpoint.selector" -}}
app.kubernetes.io/name: mns-endpoint
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mns-endpoint.labels" -}}
{{ include "mns-endpoint.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "mns-endpoint.adminSecret" -}}
{{- .Values.admin.existingSecret | default (include "mns-endpoint.name" .) -}}
{{- end -}}

{{/* A value of YAML as one of TOML. Strings, numbers, booleans and lists are written as in JSON. */}}
{{- define "mns-endpoint.value" -}}
{{- if kindIs "map" . -}}
{ {{ range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ $key | quote }} = {{ get $ $key | toJson }}{{ end }} }
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{- define "mns-endpoint.keys" -}}
{{- range $key, $value := . }}
{{ $key }} = {{ include "mns-endpoint.value" $value }}
{{- end -}}
{{- end -}}

{{- define "mns-endpoint.toml" -}}
{{- $config := .Values.config -}}
{{- $admin := $config.admin | default dict -}}
{{- $service := printf "%s-pods" (include "mns-endpoint.name" .) -}}
[server]
listen = "[::]:8080"
{{- include "mns-endpoint.keys" ($config.server | default dict) }}

[admin]
listen = {{ printf "%s:9080" .Values.admin.address | quote }}
token_file = "/secrets/admin/admin-token"
hosts = {{ prepend ($admin.hosts | default list) $service | toJson }}
{{- include "mns-endpoint.keys" (omit $admin "hosts") }}
{{- range $table := list "signing" "accept" "logs" "telemetry" }}
{{- with get $config $table }}

[{{ $table }}]
{{- include "mns-endpoint.keys" . }}
{{- end }}
{{- end }}
{{- range $name, $keys := .Values.forward }}

[forward.{{ $name }}]
{{- include "mns-endpoint.keys" $keys }}
{{- end }}
{{- end -}}

{{/* What the schema cannot see. */}}
{{- define "mns-endpoint.demands" -}}
{{- $accept := .Values.config.accept | default dict -}}
{{- if and $accept.require_owner (not $accept.topic_owners) -}}
{{- fail "config.accept.topic_owners is empty: name your account id, as in --set-string 'config.accept.topic_owners={1269128356620446}'" -}}
{{- end -}}
{{- $waits := list -}}
{{- range $name, $keys := .Values.forward -}}
{{- if eq ($keys.ack | default "journal") "forward" -}}
{{- $waits = append $waits $name -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.kind "Deployment") (not $waits) -}}
{{- fail "kind: Deployment keeps messages only as long as the pod, so it needs a destination with ack: forward; use StatefulSet otherwise" -}}
{{- end -}}
{{- if gt (len $waits) 1 -}}
{{- fail (printf "ack: forward is possible for one destination only, and is set for %s" (join ", " $waits)) -}}
{{- end -}}
{{- end -}}
