{#
Incremental strategy `replace_changed`: what a changed file touches is deleted and written again, keys that
vanished included. (dbt's delete+insert would leave a vanished key behind: it deletes only what it inserts.)
With --full-refresh, and after a change of the rules (macros/rules.sql), all is written again: in place, where the model's `full_refresh: false` keeps dbt from
dropping the table and the views on it.

    unique_key: order_id                       column, or list of columns, that is replaced
    meta: {changed_in: int_touched_keys}       model that lists the keys, in columns of the same names
                                               or of those in changed_keys

Strategy `replace_all` deletes everything and writes it again, in one transaction and without dropping the
table: for small models, as a `table` would take the views above it along. `truncate_all` does the same at
once whatever was there, but under a lock that readers would wait for: for lists that only a build reads.
#}
{% macro get_incremental_replace_changed_sql(args) %}
    {% set keys = [args.unique_key] if args.unique_key is string else args.unique_key %}
    {% set changed = ref(config.get('meta')['changed_in']) %}
    {% set changed_keys = config.get('meta').get('changed_keys', keys) %}
    delete from {{ args.target_relation }}
    {% if is_partial() %}
    -- qualified: a name that only the target has would match every row
    where ({{ keys | join(', ') }}) in (
        select changed.{{ changed_keys | join(', changed.') }} from {{ changed }} as changed
    )
    {% endif %};
    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{% endmacro %}


{% macro get_incremental_replace_all_sql(args) %}
    delete from {{ args.target_relation }};
    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{% endmacro %}


{% macro get_incremental_truncate_all_sql(args) %}
    truncate {{ args.target_relation }};
    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{% endmacro %}


{#
Whether only what changed is made anew: the table is there, by these rules, and nobody asked for all of it.
#}
{% macro is_partial() %}
    {{- return(is_incremental() and not flags.FULL_REFRESH and not are_rules_changed()) -}}
{% endmacro %}


{#
The condition that goes with it: true in a full build, else whether the key is among those to make anew.
It calls ref() in both cases, so that dbt knows of the dependency.
#}
{% macro is_changed(key, changed_in='int_touched_keys') %}
    {%- set changed = ref(changed_in) -%}
    {%- if is_partial() -%} {{ key }} in (select {{ key }} from {{ changed }})
    {%- else -%} true
    {%- endif -%}
{% endmacro %}
