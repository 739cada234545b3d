{{- define "riwaq.egress.dns" -}}
# Names.
- to: {{- toYaml .Values.networkPolicy.dnsTo | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {protocol: UDP, port: {{ . | int }}}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
{{- end }}

{{/* Rules for those backends of the configuration that are named: (dict "root" $ "names" (list ...)). */}}
{{- define "riwaq.egress.backends" -}}
{{- $ports := include "riwaq.backends" .root | fromJson }}
{{- range $name := .names }}
{{- with get $ports $name }}
# {{ $name }}
- ports:
    {{- range . }}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
  {{- with get $.root.Values.networkPolicy.backendsTo $name }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
