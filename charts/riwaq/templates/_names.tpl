{{/*
Release `riwaq` names things `riwaq-...`; another release puts its name before that. A release's name may hold dots and begin with
a digit, a Service's may not.
*/}}
{{- define "riwaq.name" -}}
{{- $name := .Release.Name | replace "." "-" }}
{{- if not (contains "riwaq" $name) }}{{ $name = printf "%s-riwaq" $name }}{{ end }}
{{- if regexMatch "^[0-9]" $name }}{{ $name = printf "r%s" $name }}{{ end }}
{{- regexReplaceAll "-+$" ($name | trunc 40) "" }}
{{- end }}

{{- define "riwaq.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: riwaq
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: riwaq
{{- end }}

{{/* What finds the pods of a component: (dict "root" $ "component" "auth"). */}}
{{- define "riwaq.selector" -}}
app.kubernetes.io/name: riwaq
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The roles, as data: files/arrows.json is written from the program's source. */}}
{{- define "riwaq.roles" -}}
{{- get (.Files.Get "files/arrows.json" | fromJson) "asks" | keys | sortAlpha | toJson }}
{{- end }}

{{/* The component that browsers reach. */}}
{{- define "riwaq.public" -}}
{{- if eq .Values.mode "all" }}all{{ else }}gateway{{ end }}
{{- end }}

{{- define "riwaq.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "riwaq.servicePort" -}}
{{- if .Values.service.port }}{{ .Values.service.port | int }}{{ else if .Values.tls.existingSecret }}443{{ else }}80{{ end }}
{{- end }}

{{- define "riwaq.host" -}}
{{- .host | default ((urlParse .root.Values.publicUrl).host | splitList ":" | first) }}
{{- end }}

{{/* Whose accounts the main job has: those of a Secret, those of the demonstration where their password is known, or none. */}}
{{- define "riwaq.tests.accounts" -}}
{{- if .Values.tests.accountsSecret }}secret
{{- else if and (eq .Values.mode "all") .Values.demo.enabled .Values.demo.existingSecret }}demo
{{- end }}
{{- end }}
