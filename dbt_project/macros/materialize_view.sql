{#
Views are replaced in place. dbt's own view materialization makes a new view and drops the old one with all
that stands on it; then `dbt build --select staging` would take intermediate, and readers of reporting, along.
Postgres lets a replaced view grow at its end only, so columns that were there keep their places, and new ones
follow: a home of an earlier version has another order than a fresh one. A view that would lose a column can't be
replaced: outside reporting it is made anew with what stands on it, in reporting that is an error, because
somebody may be reading it.
#}
{% materialization view, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set beside = compared_views(existing, sql) if existing is not none and existing.is_view else none -%}
    {%- set query = kept_columns_first(beside, sql) if beside is not none else none -%}
    {%- set is_replaceable = query is not none -%}
    {%- if is_replaceable and query != sql -%}
        {%- set beside = compared_views(existing, query) -%}
    {%- endif -%}
    {%- set query = query or sql -%}

    {% if existing is not none and not is_replaceable and this.schema == 'reporting' %}
        {% do exceptions.raise_compiler_error(
            this ~ ' would lose columns that readers may use: give the new form a new name'
        ) %}
    {% endif %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if existing is not none and not is_replaceable %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {% if is_replaceable and beside.is_same %}
        {% call noop_statement('main', 'CREATE VIEW') %}{% endcall %}
    {% else %}
        {% call statement('main') -%}
            {{ get_create_view_as_sql(target_relation, query) }}
        {%- endcall %}
    {% endif %}

    {% do apply_grants(target_relation, config.get('grants'), should_revoke=False) %}
    {% do persist_docs(target_relation, model) %}
    {% do copy_comments(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{# The query with the view's own columns first and in their order; none if it lacks one of them. #}
{% macro kept_columns_first(beside, sql) %}
    {% set names = beside.old + (beside.new | reject('in', beside.old) | list) %}
    {% if names == beside.new %}
        {{ return(sql) }}
    {% elif names | length > beside.new | length %}
        {{ return(none) }}
    {% endif %}
    {% set columns = [] %}
    {% for name in names %}
        {% do columns.append(adapter.quote(name)) %}
    {% endfor %}
    {{ return('select ' ~ (columns | join(', ')) ~ ' from (\n' ~ sql ~ '\n) as newest') }}
{% endmacro %}


{#
The existing view beside one of the query: `old` and `new`, names of their columns, and `is_same`. Postgres
compares its own renderings of both.
#}
{% macro compared_views(existing, sql) %}
    {% set probe = 'perennial_view_probe' %}
    {% set names = "(select json_agg(attname order by attnum) from pg_attribute where attrelid = views.%s and attnum > 0)" %}
    {% call statement('compared', fetch_result=True) %}
        create temporary view {{ probe }} as ({{ sql }});
        select json_build_object(
            'is_same', pg_get_viewdef(views.new) = pg_get_viewdef(views.old),
            'old', {{ names % 'old' }},
            'new', {{ names % 'new' }}
        )::text
        from (select 'pg_temp.{{ probe }}'::regclass as new, '{{ existing }}'::regclass as old) as views
    {% endcall %}
    {% do run_query('drop view pg_temp.' ~ probe) %}
    {{ return(fromjson(load_result('compared').data[0][0])) }}
{% endmacro %}


{% macro postgres__create_view_as(relation, sql) -%}
    {% if config.get('contract').enforced %}{{ get_assert_columns_equivalent(sql) }}{% endif %}
    do $perennial$
    begin
        for attempt in 1..300 loop
            begin
                -- new readers wait behind this lock, at most for this long
                set local lock_timeout = '100ms';
                create or replace view {{ relation }} as (
                    {{ sql }}
                );
                set local lock_timeout = 0;
                return;
            exception when lock_not_available then
                perform pg_sleep(0.1);
            end;
        end loop;
        raise lock_not_available using message =
            '{{ relation | replace('"', '') }} has changed and can''t be replaced: for a minute a transaction '
            'that has read it was open. Build again once it has ended; bi_reader''s end by themselves '
            '(idle_in_transaction_session_timeout)';
    end $perennial$;
{%- endmacro %}
