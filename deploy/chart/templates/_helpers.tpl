{{- define "selvedge.labels" -}}
app.kubernetes.io/name: selvedge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "selvedge.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Which pods of a DaemonSet go where: every Linux node, of the network of the node. */}}
{{- define "selvedge.placement" -}}
priorityClassName: {{ .Values.priorityClassName }}
hostNetwork: true
nodeSelector:
  {{- toYaml .Values.nodeSelector | nindent 2 }}
tolerations:
  {{- toYaml .Values.tolerations | nindent 2 }}
{{- end }}

{{/* What the agent needs of the node, and why. */}}
{{- define "selvedge.security" -}}
runAsUser: 0
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
{{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}
# The container runtimes' own profile forbids writing anything under /sys/fs/bpf.
appArmorProfile: { type: Unconfined }
{{- end }}
capabilities:
  drop: [ALL]
  add:
    - NET_ADMIN # programs on interfaces, netlink, iptables and ipset
    - NET_BROADCAST # to hear of addresses in the pods' namespaces
    {{- if .Values.sysAdmin }}
    - SYS_ADMIN # stands for BPF and PERFMON where these are not known
    {{- else }}
    - BPF # maps and programs
    - PERFMON # the verifier lets no program read packets without it
    {{- end }}
    {{- if ne .Values.dataplane "bpf" }}
    - NET_RAW # the data plane ipset: iptables-legacy opens a raw socket
    {{- end }}
{{- end }}

{{- define "selvedge.node-volumes" -}}
- { name: bpffs, hostPath: { path: /sys/fs/bpf, type: Directory } }
- { name: xtables-lock, hostPath: { path: /run/xtables.lock, type: FileOrCreate } }
{{- end }}

{{- define "selvedge.node-mounts" -}}
- { name: bpffs, mountPath: /sys/fs/bpf, mountPropagation: HostToContainer }
- { name: xtables-lock, mountPath: /run/xtables.lock }
{{- end }}

{{- define "selvedge.cni-volumes" -}}
- { name: cni-conf, hostPath: { path: {{ .Values.cni.confDir }}, type: DirectoryOrCreate } }
- { name: cni-bin, hostPath: { path: {{ .Values.cni.binDir }}, type: DirectoryOrCreate } }
{{- end }}

{{- define "selvedge.cni-mounts" -}}
- { name: cni-conf, mountPath: {{ .Values.cni.confDir }} }
- { name: cni-bin, mountPath: {{ .Values.cni.binDir }} }
{{- end }}

{{- define "selvedge.apparmor-annotations" -}}
{{- if semverCompare "<1.30-0" .Capabilities.KubeVersion.Version }}
annotations:
  container.apparmor.security.beta.kubernetes.io/{{ .container }}: unconfined
{{- end }}
{{- end }}

{{/* Where the kubelet asks: at the node's own address, unless the agent listens at one other alone. */}}
{{- define "selvedge.probe-host" -}}
{{- $host := trimSuffix "]" (trimPrefix "[" .Values.healthHost) -}}
{{- if not (has $host (list "" "0.0.0.0" "::")) }}host: {{ quote $host }}, {{ end }}
{{- end }}
