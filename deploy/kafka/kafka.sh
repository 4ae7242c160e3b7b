#!/usr/bin/env bash
# A real Apache Kafka on free ports of 127.0.0.1, for tests and demonstrations: one broker and its controller, nothing to
# install but Java and Maven. Secrets it makes lie in DIR alone. Not for production.
set -euo pipefail

KAFKA_VERSION=4.3.1
LOG4J_VERSION=2.25.4
REGISTRY_VERSION=3.0.9
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${PATHWAY_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pathway-router/kafka-$KAFKA_VERSION}
READY_SECONDS_MAX=120

usage() {
    cat >&2 <<'TEXT'
Usage:
  kafka.sh fetch [--registry]                 download Kafka (and the schema registry) into the cache, once
  kafka.sh start [--tls] [--sasl] [--acls] [--registry] [--user NAME]... [--while PID] DIR
                                              start a broker that keeps its files in DIR; prints its address;
                                              with --user: knows NAME too, by password (--sasl) or certificate;
                                              with --while: stops, and removes DIR, when process PID has ended
  kafka.sh stop DIR                           stop what was started with DIR
  kafka.sh kill DIR                           end the broker without notice, as a power cut would, and wait until its
                                              controller has noticed (start again: same port)
  kafka.sh run DIR CLASS ARGUMENT...          one of Kafka's own tools, such as
                                              org.apache.kafka.tools.TopicCommand
After start, DIR holds: bootstrap (host:port), kafka.log, controller.log, with --registry: registry (its URL), with --tls: ca.pem and
NAME.pem, NAME.key, with --sasl: admin.properties for Kafka's tools, and passwords (one `name password` a line), with
either: NAME.client.properties for librdkafka and this router. The user admin may do everything.
TEXT
    exit 2
}

fail() {
    printf 'kafka.sh: %s\n' "$@" >&2
    exit 1
}

need_java() {
    command -v java >/dev/null || fail "Java is missing. On Debian or Ubuntu:" \
        "  sudo apt-get install --yes openjdk-17-jre-headless"
}

need_maven() {
    command -v mvn >/dev/null || fail "Maven is missing (it fetches Kafka). On Debian or Ubuntu:" \
        "  sudo apt-get install --yes maven"
}

# One `mvn` at a time, however many tests ask at once; whole or not at all.
fetch() {
    need_java
    local what=$1 goal=$2
    [[ -e $CACHE/$what/complete ]] && return
    need_maven
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock 9
    if [[ ! -e $CACHE/$what/complete ]]; then
        rm -rf "${CACHE:?}/$what"
        mkdir -p "$CACHE/$what"
        "$goal" "$CACHE/$what" >"$CACHE/$what.log" 2>&1 ||
            fail "Maven could not fetch $what; $CACHE/$what.log begins:" "$(head -n 5 "$CACHE/$what.log")"
        touch "$CACHE/$what/complete"
    fi
    flock -u 9
}

fetch_broker() {
    cat >"$1/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.pathway-router</groupId>
  <artifactId>broker-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$LOG4J_VERSION</version>
    </dependency>
  </dependencies>
</project>
XML
    mvn -B -q -f "$1/pom.xml" dependency:copy-dependencies -DoutputDirectory="$1/jars"
}

# The program lies in an archive with the libraries it names.
fetch_registry() {
    local archive=apicurio-registry-app-$REGISTRY_VERSION-all.tar.gz
    mvn -B -q dependency:copy -DoutputDirectory="$1" \
        -Dartifact="io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all"
    tar -xzf "$1/$archive" -C "$1"
    rm "$1/$archive"
}

# One of Kafka's own programs, quick to start.
tool() {
    java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dpathway.level=WARN \
        -Dlog4j2.configurationFile="$HERE/log4j2.properties" -cp "$CACHE/broker/jars/*" "$@"
}

# Ports that nobody listens on now. Another program may still be quicker: `start` then says so.
free_ports() {
    local found=() port
    while ((${#found[@]} < $1)); do
        port=$((20000 + RANDOM % 12000))
        [[ " ${found[*]:-} " == *" $port "* ]] && continue
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || found+=("$port")
    done
    echo "${found[@]}"
}

is_running() {
    local pid
    [[ -f $1 ]] && pid=$(<"$1") && [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null
}

random_word() {
    head -c 18 /dev/urandom | base64 | tr '+/' 'ab'
}

make_certificates() {
    local dir=$1 word=$2
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=pathway-router test authority" \
        -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
    local name
    for name in broker admin ${USERS[@]+"${USERS[@]}"}; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$dir/$name.key" -out "$dir/$name.csr" 2>/dev/null
        openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
            -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") -out "$dir/$name.pem" 2>/dev/null
    done
    openssl pkcs12 -export -in "$dir/broker.pem" -inkey "$dir/broker.key" -certfile "$dir/ca.pem" \
        -passout "pass:$word" -out "$dir/broker.p12"
    keytool -importcert -noprompt -alias ca -file "$dir/ca.pem" -storetype PKCS12 -storepass "$word" \
        -keystore "$dir/trust.p12" 2>/dev/null
}

write_shared_settings() {
    local controller=$1
    cat <<SETTINGS
controller.quorum.voters=2@127.0.0.1:$controller
controller.listener.names=CONTROLLER
SETTINGS
    if ((ACLS)); then
        cat <<SETTINGS
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS;User:CN=broker;User:CN=admin
allow.everyone.if.no.acl.found=false
SETTINGS
    fi
}

# A process of its own. A broker that is its own controller takes itself for registered when it comes back from a kill: it
# then drops the ends of transactions that it cannot deliver yet, and those hang for ever.
write_controller_settings() {
    local dir=$1 controller=$2
    write_shared_settings "$controller"
    cat <<SETTINGS
process.roles=controller
node.id=2
listeners=CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=CONTROLLER:PLAINTEXT
log.dirs=$dir/controller
broker.session.timeout.ms=4000
SETTINGS
}

write_broker_settings() {
    local dir=$1 port=$2 controller=$3 protocol=PLAINTEXT
    ((TLS)) && protocol=SSL
    ((SASL)) && protocol=SASL_PLAINTEXT
    ((TLS && SASL)) && protocol=SASL_SSL
    write_shared_settings "$controller"
    cat <<SETTINGS
process.roles=broker
node.id=1
broker.heartbeat.interval.ms=500
listeners=CLIENTS://127.0.0.1:$port
advertised.listeners=CLIENTS://127.0.0.1:$port
listener.security.protocol.map=CLIENTS:$protocol,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
log.dirs=$dir/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
auto.create.topics.enable=false
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.message.timestamp.type=LogAppendTime
SETTINGS
    if ((SASL)); then
        cat <<SETTINGS
sasl.enabled.mechanisms=SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
listener.name.clients.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$ADMIN_WORD";
SETTINGS
    fi
    if ((TLS)); then
        cat <<SETTINGS
ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/broker.p12
ssl.keystore.password=$STORE_WORD
ssl.truststore.type=PKCS12
ssl.truststore.location=$dir/trust.p12
ssl.truststore.password=$STORE_WORD
ssl.client.auth=$( ((SASL)) && echo requested || echo required)
SETTINGS
    fi
}

write_admin_properties() {
    local dir=$1 protocol=SASL_PLAINTEXT
    ((TLS)) && protocol=SASL_SSL
    cat <<SETTINGS
security.protocol=$protocol
sasl.mechanism=SCRAM-SHA-256
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$ADMIN_WORD";
ssl.truststore.type=PKCS12
ssl.truststore.location=$dir/trust.p12
ssl.truststore.password=$STORE_WORD
SETTINGS
}

# As librdkafka calls its settings.
write_client_properties() {
    local dir=$1 name=$2 word=$3
    if ((SASL)); then
        echo "security.protocol=$( ((TLS)) && echo sasl_ssl || echo sasl_plaintext)"
        printf '%s\n' "sasl.mechanism=SCRAM-SHA-256" "sasl.username=$name" "sasl.password=$word"
    elif ((TLS)); then
        printf '%s\n' "security.protocol=ssl" "ssl.certificate.location=$dir/$name.pem" "ssl.key.location=$dir/$name.key"
    fi
    if ((TLS)); then echo "ssl.ca.location=$dir/ca.pem"; fi
}

prepare() {
    local dir=$1 port controller
    read -r port controller <<<"$(free_ports 2)"
    ADMIN_WORD=$(random_word) STORE_WORD=$(random_word)
    umask 077
    ((TLS)) && make_certificates "$dir" "$STORE_WORD"
    write_broker_settings "$dir" "$port" "$controller" >"$dir/server.properties"
    write_controller_settings "$dir" "$controller" >"$dir/controller.properties"
    local scram=() name word
    if ((SASL)); then
        write_admin_properties "$dir" >"$dir/admin.properties"
    fi
    for name in admin ${USERS[@]+"${USERS[@]}"}; do
        word=$(random_word)
        [[ $name == admin ]] && word=$ADMIN_WORD
        if ((SASL)); then
            printf '%s %s\n' "$name" "$word" >>"$dir/passwords"
            scram+=(--add-scram "SCRAM-SHA-256=[name=$name,password=$word]")
        fi
        write_client_properties "$dir" "$name" "$word" >"$dir/$name.client.properties"
    done
    local cluster
    cluster=$(cluster_id)
    format "$dir" server --cluster-id="$cluster"
    format "$dir" controller --cluster-id="$cluster" ${scram[@]+"${scram[@]}"}
    printf '127.0.0.1:%s\n' "$port" >"$dir/bootstrap.new"
}

format() {
    local dir=$1 which=$2
    tool kafka.tools.StorageTool format -c "$dir/$which.properties" "${@:3}" >"$dir/format.log" 2>&1 ||
        fail "the storage could not be formatted:" "$(tail -n 5 "$dir/format.log")"
}

cluster_id() {
    head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '='
}

# Waits for a line in a log, or for the process to end.
await() {
    local what=$1 pid=$2 log=$3 pattern=$4 waited=0
    until grep -q "$pattern" "$log" 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || fail "$what ended; the end of $log says:" "$(tail -n 8 "$log")"
        ((waited++ < READY_SECONDS_MAX * 10)) || fail "$what was not ready after $READY_SECONDS_MAX s: see $log"
        sleep 0.1
    done
}

# Ready when it takes the compatibility that new schemas are held to; its own default is none.
await_registry() {
    local pid=$1 log=$2 port=$3 waited=0 body='{"compatibility":"BACKWARD"}'
    until (
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        printf 'PUT /apis/ccompat/v7/config HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n%s\r\n\r\n%s' \
            'Content-Type: application/vnd.schemaregistry.v1+json' "Content-Length: ${#body}" "$body" >&3
        grep -q BACKWARD <&3
    ) 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || fail "the registry ended; the end of $log says:" "$(tail -n 8 "$log")"
        ((waited++ < READY_SECONDS_MAX * 5)) || fail "the registry was not ready after $READY_SECONDS_MAX s: see $log"
        sleep 0.2
    done
}

start_registry() {
    local dir=$1 port
    is_running "$dir/registry.pid" && return
    port=$(free_ports 1)
    local program
    program=$(find "$CACHE/registry" -name 'apicurio-registry-app-*-runner.jar')
    [[ -n $program ]] || fail "there is no runner in $CACHE/registry: remove that folder and fetch again"
    setsid nohup java -Xmx384m -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" \
        -jar "$program" \
        >"$dir/registry.log" 2>&1 </dev/null 9>&- &
    echo $! >"$dir/registry.pid"
    await_registry "$(<"$dir/registry.pid")" "$dir/registry.log" "$port"
    printf 'http://127.0.0.1:%s/apis/ccompat/v7\n' "$port" >"$dir/registry"
}

# One of the two processes, unless it runs: its name, whose settings, options for Java.
start_node() {
    local dir=$1 name=$2 settings=$3
    is_running "$dir/$name.pid" && return
    setsid nohup java "${@:4}" -XX:+UseSerialGC -cp "$CACHE/broker/jars/*" -Dpathway.level=INFO \
        -Dlog4j2.configurationFile="$HERE/log4j2.properties" kafka.Kafka "$dir/$settings.properties" \
        >>"$dir/$name.log" 2>&1 </dev/null 9>&- &
    echo $! >"$dir/$name.pid"
}

start() {
    TLS=0 SASL=0 ACLS=0 REGISTRY=0 USERS=()
    local while_pid=
    while [[ ${1:-} == --* ]]; do
        case $1 in
        --tls) TLS=1 ;;
        --sasl) SASL=1 ;;
        --acls) ACLS=1 ;;
        --registry) REGISTRY=1 ;;
        --user)
            USERS+=("${2:?}")
            shift
            ;;
        --while)
            while_pid=${2:?}
            shift
            ;;
        *) usage ;;
        esac
        shift
    done
    (($# == 1)) || usage
    mkdir -p "$1"
    local dir
    dir=$(cd "$1" && pwd)
    fetch broker fetch_broker
    if ! is_running "$dir/kafka.pid"; then
        [[ -f $dir/server.properties && -f $dir/bootstrap.new ]] || prepare "$dir"
        start_node "$dir" controller controller -Xmx256m -XX:TieredStopAtLevel=1
        : >"$dir/kafka.log"
        start_node "$dir" kafka server -Xms256m -Xmx1g
        await "the broker" "$(<"$dir/kafka.pid")" "$dir/kafka.log" 'Kafka Server started'
    fi
    cp "$dir/bootstrap.new" "$dir/bootstrap"
    if ((REGISTRY)); then
        fetch registry fetch_registry
        start_registry "$dir"
    fi
    if [[ -n $while_pid ]]; then
        setsid nohup "$HERE/kafka.sh" watch "$while_pid" "$dir" >/dev/null 2>&1 </dev/null 9>&- &
    fi
    cat "$dir/bootstrap"
}

watch() {
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
    done
    stop "$2"
    rm -rf "$2"
}

end_process() {
    local file=$1 signal=$2 pid waited=0
    is_running "$file" || { rm -f "$file"; return; }
    pid=$(<"$file")
    kill "-$signal" "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if ((waited++ >= 300)); then
            kill -KILL "$pid" 2>/dev/null || true
        fi
        sleep 0.1
    done
    rm -f "$file"
}

stop() {
    (($# == 1)) || usage
    [[ -d $1 ]] || return 0
    end_process "$1/registry.pid" TERM
    end_process "$1/kafka.pid" TERM
    end_process "$1/controller.pid" TERM
    rm -f "$1/bootstrap"
}

# The last that the controller says of the broker.
is_given_up() {
    [[ $(grep -o 'BrokerRegistrationChangeRecord(brokerId=1,.* fenced=-\?1,' "$1/controller.log" |
        grep -o 'fenced=-\?1,$' | tail -n 1) == fenced=1, ]]
}

# Until it is given up, a broker that came back would be refused by the controller.
kill_broker() {
    local dir=$1 waited=0
    end_process "$dir/kafka.pid" KILL
    until is_given_up "$dir"; do
        ((waited++ < READY_SECONDS_MAX * 10)) || fail "the controller did not notice: see $dir/controller.log"
        sleep 0.1
    done
}

case ${1:-} in
fetch)
    fetch broker fetch_broker
    if [[ ${2:-} == --registry ]]; then fetch registry fetch_registry; fi
    ;;
start) start "${@:2}" ;;
stop) stop "${@:2}" ;;
watch) watch "${@:2}" ;;
kill)
    (($# == 2)) || usage
    kill_broker "$2"
    ;;
run)
    (($# >= 3)) || usage
    fetch broker fetch_broker
    tool "${@:3}"
    ;;
*) usage ;;
esac
