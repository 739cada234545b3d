{{/* What is different in each: user, ports (the first is probed), folder of its data, and its container's own lines. */}}
{{- define "trial.servers" -}}
cassandra: {user: 999, ports: [9042], folder: /var/lib/cassandra}
rabbitmq: {user: 999, ports: [5672], folder: /var/lib/rabbitmq}
s3: {user: 65532, ports: [9000], folder: /data}
opensearch: {user: 1000, ports: [9200], folder: /usr/share/opensearch/data}
mail: {user: 65532, ports: [1025, 8025]}
{{- end }}

{{- define "trial.cassandra" -}}
env:
  - {name: CASSANDRA_CLUSTER_NAME, value: riwaq}
  - {name: CASSANDRA_ENDPOINT_SNITCH, value: GossipingPropertyFileSnitch}
  - {name: CASSANDRA_DC, value: datacenter1}
  - {name: MAX_HEAP_SIZE, value: {{ .Values.cassandra.heap | quote }}}
  - {name: HEAP_NEWSIZE, value: 200M}
{{- end }}

{{- define "trial.rabbitmq" -}}
env:
  - {name: RABBITMQ_DEFAULT_USER, value: riwaq}
  - name: RABBITMQ_DEFAULT_PASS
    valueFrom:
      secretKeyRef: {name: {{ .Values.existingSecret }}, key: rabbitmq-password}
{{- end }}

{{- define "trial.s3" -}}
args: [--port, ":9000", --health, /health, --keep-alive, --quiet, posix, /data]
env:
  - {name: ROOT_ACCESS_KEY, value: riwaq}
  - name: ROOT_SECRET_KEY
    valueFrom:
      secretKeyRef: {name: {{ .Values.existingSecret }}, key: s3-secret-key}
{{- end }}

{{- define "trial.opensearch" -}}
env:
  - {name: discovery.type, value: single-node}
  - {name: OPENSEARCH_JAVA_OPTS, value: "-Xms{{ .Values.opensearch.heap }} -Xmx{{ .Values.opensearch.heap }}"}
  - {name: DISABLE_SECURITY_PLUGIN, value: "true"}
  - {name: DISABLE_INSTALL_DEMO_CONFIG, value: "true"}
{{- end }}

{{- define "trial.mail" -}}
env:
  - {name: MP_MAX_MESSAGES, value: "5000"}
{{- end }}

{{- define "trial.labels" -}}
app.kubernetes.io/name: riwaq-trial
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}
