{{- define "selvedge.labels" -}}
app.kubernetes.io/name: selvedge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "selvedge.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What the agent needs of the node, and why. */}}
{{- define "selvedge.capabilities" -}}
drop: [ALL]
add:
  - NET_ADMIN # programs on interfaces, netlink, iptables and ipset
  - BPF # maps and programs
  - PERFMON # the verifier lets no program read packets without it
  - NET_BROADCAST # to hear of addresses within the pods' namespaces
  - NET_RAW # iptables-legacy opens a raw socket
{{- if .Values.sysAdmin }}
  - SYS_ADMIN # kernels before 5.8, and mounting a bpffs
{{- end }}
{{- end }}

{{- define "selvedge.mounts" -}}
- { name: bpffs, mountPath: /sys/fs/bpf, mountPropagation: HostToContainer }
- { name: run, mountPath: /run/selvedge }
- { name: xtables-lock, mountPath: /run/xtables.lock }
{{- end }}

{{- define "selvedge.volumes" -}}
- { name: bpffs, hostPath: { path: /sys/fs/bpf, type: Directory } }
- { name: run, hostPath: { path: /run/selvedge, type: DirectoryOrCreate } }
- { name: xtables-lock, hostPath: { path: /run/xtables.lock, type: FileOrCreate } }
{{- end }}
