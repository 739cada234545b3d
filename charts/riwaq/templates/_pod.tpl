{{/* What every pod has that passes the restricted pod security standard. */}}
{{- define "riwaq.pod.security" -}}
automountServiceAccountToken: false
{{- /* Kubernetes would set RIWAQ_PORT and the like for Services that are called riwaq, and Riwaq reads RIWAQ_*. */}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Of every pod, so that a policy or a mesh that asks for labels finds them: (dict "root" $ "component" "auth"). */}}
{{- define "riwaq.pod.labels" -}}
{{- include "riwaq.selector" . }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where a pod may run, and with what its image is fetched. */}}
{{- define "riwaq.pod.place" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "riwaq.container.security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The program's container up to its arguments: (dict "root" $ "name" "auth"). */}}
{{- define "riwaq.container" -}}
name: {{ .name }}
image: {{ include "riwaq.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{ include "riwaq.container.security" . }}
{{- end }}

{{/* Secrets, each by its key: what is missing in the Secret is not set. */}}
{{- define "riwaq.secrets" -}}
{{- $secrets := dict
  "RIWAQ_BLOBS_S3_SECRET_KEY" "s3-secret-key"
  "RIWAQ_DIRECTORY_KEYCLOAK_CLIENT_SECRET" "keycloak-client-secret"
  "RIWAQ_EVENTS_RABBITMQ_PASSWORD" "rabbitmq-password"
  "RIWAQ_GATEWAY_SESSION_CLIENT_SECRET" "portal-client-secret"
  "RIWAQ_INDEX_OPENSEARCH_PASSWORD" "opensearch-password"
  "RIWAQ_MAIL_SMTP_PASSWORD" "smtp-password"
  "RIWAQ_RECORDS_CASSANDRA_PASSWORD" "cassandra-password"
  "RIWAQ_SECRETS_MASTER_KEY" "master-key"
  "RIWAQ_SERVER_METRICS_TOKEN" "metrics-token"
  "RIWAQ_TELEMETRY_USER_HASH_KEY" "user-hash-key" }}
{{- range $name := keys $secrets | sortAlpha }}
{{- $key := get $secrets $name }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $.Values.existingSecret }}, key: {{ $key }}, optional: {{ not (and (eq $key "master-key") (eq $.Values.mode "roles")) }}}
{{- end }}
{{- end }}

{{/* (dict "scheme" "HTTP" "startupSeconds" 600). */}}
{{- define "riwaq.probes" -}}
{{- $scheme := .scheme -}}
# Before it answers, a process waits for its backends, up to a minute for each, and says then why it ends.
startupProbe:
  httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  failureThreshold: {{ div (add .startupSeconds 1) 2 }}
# Only who hangs: a process that has too much to do answers late, and to end it gives its work to the others, which then are the next.
livenessProbe:
  httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* The pod of a component that serves: (dict "root" $ "component" "auth" "args" (list ...) "resources" $map "env" (list ...)). */}}
{{- define "riwaq.pod" -}}
{{- $values := .root.Values }}
{{- $tls := include "riwaq.certificate" . -}}
metadata:
  labels: {{- include "riwaq.pod.labels" . | nindent 4 }}
  annotations:
    # A change of the configuration is a rollout.
    checksum/config: {{ include "riwaq.config" .root | sha256sum }}
    {{- with $values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "riwaq.name" .root }}
  {{- include "riwaq.pod.security" . | nindent 2 }}
  # The drain, and a margin for ending.
  terminationGracePeriodSeconds: {{ add $values.drain.delaySeconds $values.drain.seconds 5 }}
  {{- with include "riwaq.pod.place" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "riwaq.spread" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  # A question that the network loses is asked again after a second, and not after the five of libc.
  dnsConfig:
    options: [{name: timeout, value: "1"}, {name: attempts, value: "4"}]
  containers:
    - {{ include "riwaq.container" (dict "root" .root "name" .component) | indent 6 | trim }}
      args:
        {{- toYaml .args | nindent 8 }}
      {{- if or .env $values.existingSecret }}
      env:
        {{- with .env }}{{ toYaml . | nindent 8 }}{{ end }}
        {{- if $values.existingSecret }}{{ include "riwaq.secrets" .root | trim | nindent 8 }}{{ end }}
      {{- end }}
      ports:
        - {name: http, containerPort: 8080}
      {{- include "riwaq.probes" (dict "scheme" (ternary "HTTPS" "HTTP" (not (empty $tls))) "startupSeconds" $values.startup.seconds) | nindent 6 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        {{- include "riwaq.mounts" . | nindent 8 }}
        {{- if eq .component "all" }}
        - {name: data, mountPath: /data}
        {{- end }}
  volumes:
    {{- include "riwaq.volumes" (dict "root" .root "component" .component "config" (include "riwaq.name" .root)) | nindent 4 }}
    {{- if eq .component "all" }}
    - name: data
      {{- if $values.persistence.enabled }}
      persistentVolumeClaim: {claimName: {{ $values.persistence.existingClaim | default (printf "%s-data" (include "riwaq.name" .root)) }}}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- end }}
{{- end }}

{{/* The Secret of the gateway's certificate, for a component that reads it: the doctor does, too. */}}
{{- define "riwaq.certificate" -}}
{{- if has .component (list (include "riwaq.public" .root) "test-doctor") }}{{ .root.Values.tls.existingSecret }}{{ end }}
{{- end }}

{{/* Of every container that runs the program. */}}
{{- define "riwaq.mounts" -}}
- {name: config, mountPath: /etc/riwaq/config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.caConfigMap }}
- {name: ca, mountPath: /etc/riwaq/ca, readOnly: true}
{{- end }}
{{- if include "riwaq.certificate" . }}
- {name: tls, mountPath: /etc/riwaq/tls, readOnly: true}
{{- end }}
{{- end }}

{{/* Their volumes: (dict "root" $ "component" "auth" "config" "name of the ConfigMap"). */}}
{{- define "riwaq.volumes" -}}
- name: config
  configMap: {name: {{ .config }}}
- name: tmp
  emptyDir: {}
{{- with .root.Values.caConfigMap }}
- name: ca
  configMap: {name: {{ . }}}
{{- end }}
{{- with include "riwaq.certificate" . }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* One node or zone that goes takes as few pods of a role with it as can be. */}}
{{- define "riwaq.spread" -}}
{{- $keys := list }}
{{- if .root.Values.topologySpread.hosts }}{{ $keys = append $keys "kubernetes.io/hostname" }}{{ end }}
{{- if .root.Values.topologySpread.zones }}{{ $keys = append $keys "topology.kubernetes.io/zone" }}{{ end }}
{{- if and $keys (ne .component "all") }}
topologySpreadConstraints:
  {{- range $keys }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "riwaq.selector" $ | nindent 8 }}
    # Each rollout is spread by itself.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}
