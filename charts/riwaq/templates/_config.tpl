{{/* A map as TOML: (dict "path" "" "table" $map). Numbers of values are floats in Helm; whole ones are written as such. */}}
{{- define "riwaq.toml" -}}
{{- $path := .path }}{{ $table := .table }}
{{- range $key := keys $table | sortAlpha }}
{{- $value := get $table $key }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "riwaq.toml.key" $key }} = {{ include "riwaq.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key := keys $table | sortAlpha }}
{{- $value := get $table $key }}
{{- if kindIs "map" $value }}
{{- $here := ternary (include "riwaq.toml.key" $key) (printf "%s.%s" $path (include "riwaq.toml.key" $key)) (eq $path "") }}

[{{ $here }}]
{{- include "riwaq.toml" (dict "path" $here "table" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "riwaq.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{- define "riwaq.toml.value" -}}
{{- if kindIs "string" . }}{{ toJson . }}
{{- else if kindIs "bool" . }}{{ . }}
{{- else if kindIs "slice" . }}
{{- $items := list }}{{ range . }}{{ $items = append $items (include "riwaq.toml.value" .) }}{{ end -}}
[{{ join ", " $items }}]
{{- else if kindIs "map" . }}
{{- $items := list }}{{ range $key, $value := . }}{{ $items = append $items (printf "%s = %s" (include "riwaq.toml.key" $key) (include "riwaq.toml.value" $value)) }}{{ end -}}
{ {{ join ", " $items }} }
{{- else if kindIs "float64" . }}
{{- if eq (floor .) . }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- else }}{{ . }}{{ end }}
{{- end }}

{{/* What the chart says itself, over what `config` says; whether strangers may sign up, beneath it. */}}
{{- define "riwaq.config" -}}
{{- $all := eq .Values.mode "all" }}
{{- $server := dict "drain_delay_seconds" .Values.drain.delaySeconds "drain_seconds" .Values.drain.seconds }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $server "tls" (dict "certificate_file" "/etc/riwaq/tls/tls.crt" "key_file" "/etc/riwaq/tls/tls.key") }}
{{- end }}
{{- $own := dict "public_url" .Values.publicUrl "listen" "0.0.0.0" "port" 8080 "server" $server }}
{{- $_ := set $own "data_dir" (ternary "/data" "/tmp/data" $all) }}
{{- if not $all }}
{{- $peers := dict }}
{{- range $role := include "riwaq.roles" . | fromJsonArray }}
{{- if ne $role "gateway" }}{{ $_ := set $peers $role (printf "http://%s-%s:8080" (include "riwaq.name" $) $role) }}{{ end }}
{{- end }}
{{- $_ := set $own "peers" $peers }}
{{- end }}
{{- /* Like the demonstration it is for a first look: whoever ends that has not thereby opened the door. */}}
{{- $usual := ternary (dict "auth" (dict "registration" .Values.demo.enabled)) (dict) $all }}
{{- include "riwaq.toml" (dict "path" "" "table" (mergeOverwrite $usual (deepCopy .Values.config) $own)) | trim }}
{{- end }}

{{/* The part that `riwaq migrate` needs: it runs before the rest is there. */}}
{{- define "riwaq.config.migrate" -}}
{{- $own := dict "records" (get .Values.config "records" | default dict) "data_dir" "/tmp/data" }}
{{- include "riwaq.toml" (dict "path" "" "table" $own) | trim }}
{{- end }}

{{/* The port in an address (`host:port`, or a URL): (dict "address" "..." "default" 9042). */}}
{{- define "riwaq.port" -}}
{{- $port := regexFind ":[0-9]+(/|$)" .address | trimPrefix ":" | trimSuffix "/" }}
{{- if $port }}{{ $port }}{{ else if hasPrefix "https:" .address }}443{{ else if hasPrefix "http:" .address }}80{{ else }}{{ .default }}{{ end }}
{{- end }}

{{/* The backends of the configuration with their ports, as JSON: {"cassandra": [9042], ...}. */}}
{{- define "riwaq.backends" -}}
{{- $config := .Values.config }}
{{- $found := dict }}
{{- if eq (dig "records" "engine" "sqlite" $config) "cassandra" }}
{{- $nodes := dig "records" "cassandra" "contact_points" (list) $config }}
{{- $nodes = concat $nodes (dig "records" "cassandra" "address_map" (dict) $config | values | sortAlpha) }}
{{- $_ := set $found "cassandra" (dict "addresses" $nodes "default" 9042) }}
{{- end }}
{{- if eq (dig "events" "engine" "sqlite" $config) "rabbitmq" }}
{{- $_ := set $found "rabbitmq" (dict "addresses" (dig "events" "rabbitmq" "addresses" (list) $config) "default" 5672) }}
{{- end }}
{{- if eq (dig "blobs" "engine" "folder" $config) "s3" }}
{{- $_ := set $found "s3" (dict "addresses" (list (dig "blobs" "s3" "endpoint" "" $config)) "default" 443) }}
{{- with dig "blobs" "s3" "public_endpoint" "" $config }}
{{- /* Browsers use it, and the doctor looks at its certificate. It is outside, wherever the endpoint is. */}}
{{- $_ := set $found "s3-public" (dict "addresses" (list .) "default" 443) }}
{{- end }}
{{- end }}
{{- if eq (dig "index" "engine" "tantivy" $config) "opensearch" }}
{{- $_ := set $found "opensearch" (dict "addresses" (dig "index" "opensearch" "urls" (list) $config) "default" 9200) }}
{{- end }}
{{- if eq (dig "directory" "engine" "local" $config) "keycloak" }}
{{- $urls := list (dig "directory" "keycloak" "server_url" "" $config) }}
{{- range list "internal_url" "jwks_url" }}
{{- with dig "identity" . "" $config }}{{ $urls = append $urls . }}{{ end }}
{{- end }}
{{- $_ := set $found "keycloak" (dict "addresses" $urls "default" 443) }}
{{- end }}
{{- if eq (dig "mail" "engine" "folder" $config) "smtp" }}
{{- $_ := set $found "smtp" (dict "addresses" (list (printf ":%v" (dig "mail" "smtp" "port" 587 $config))) "default" 587) }}
{{- end }}
{{- with dig "telemetry" "otlp_endpoint" "" $config }}
{{- $_ := set $found "traces" (dict "addresses" (list .) "default" 4317) }}
{{- end }}
{{- $ports := dict }}
{{- range $name, $backend := $found }}
{{- $each := list }}
{{- range $backend.addresses }}{{ $each = append $each (include "riwaq.port" (dict "address" . "default" $backend.default) | int) }}{{ end }}
{{- $_ := set $ports $name ($each | uniq) }}
{{- end }}
{{- toJson $ports }}
{{- end }}
